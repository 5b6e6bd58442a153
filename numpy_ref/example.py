r"""The running example: four tokens that a pencil can check.

Each token has two features. The scores come out as whole multiples of
ln 2, so that each exponential is a power of two and each weight a
fraction. Keys are the tokens themselves; the query matrix carries the
sqrt(2) that the scale takes away again, and the ln 2:

    x0 = (1,  0)   query 0 = (1, 1)   value 0 = (1,  2)
    x1 = (0,  1)   query 1 = (0, 1)   value 1 = (3,  4)
    x2 = (1,  1)   query 2 = (1, 2)   value 2 = (4,  6)
    x3 = (1, -1)   query 3 = (1, 0)   value 3 = (-2, -2)

with queries in units of sqrt(2) ln 2. x2 then scores x0 at
1 * 1 + 2 * 0 = 1, x1 at 2 and itself at 3, in units of ln 2: their
exponentials are 2, 4 and 8, and its weights 1/7, 2/7 and 4/7.

>>> from numpy_ref.attention import masked_softmax
>>> weights = masked_softmax(SCORES, MASK)
>>> (7 * weights[2]).round(12)
array([1., 2., 4., 0.])
"""

from fractions import Fraction
from math import log, sqrt

import numpy as np

TOKENS = ("x0", "x1", "x2", "x3")

X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]])

# As matrices: query = X @ QUERY.
QUERY = sqrt(2) * log(2) * np.array([[1.0, 1.0], [0.0, 1.0]])
KEY = np.array([[1.0, 0.0], [0.0, 1.0]])
VALUE = np.array([[1.0, 2.0], [3.0, 4.0]])

MASK = np.array(
    [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]
)

# What the pencil finds, step by step.
QUERIES = ((1, 1), (0, 1), (1, 2), (1, 0))  # in units of sqrt(2) ln 2
KEYS = ((1, 0), (0, 1), (1, 1), (1, -1))
VALUES = ((1, 2), (3, 4), (4, 6), (-2, -2))
SCORES_IN_LN_2 = ((1, 1, 2, 0), (0, 1, 1, -1), (1, 2, 3, -1), (1, 0, 1, 1))
SCORES = log(2) * np.array(SCORES_IN_LN_2)
WEIGHTS = (
    (Fraction(1), Fraction(0), Fraction(0), Fraction(0)),
    (Fraction(1, 3), Fraction(2, 3), Fraction(0), Fraction(0)),
    (Fraction(1, 7), Fraction(2, 7), Fraction(4, 7), Fraction(0)),
    (Fraction(2, 7), Fraction(1, 7), Fraction(2, 7), Fraction(2, 7)),
)
CONTEXT = (
    (Fraction(1), Fraction(2)),
    (Fraction(7, 3), Fraction(10, 3)),
    (Fraction(23, 7), Fraction(34, 7)),
    (Fraction(9, 7), Fraction(16, 7)),
)
