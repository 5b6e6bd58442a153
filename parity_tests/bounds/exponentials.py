r"""The exp of an attention kernel: how far it is off, seen from outside.

`rounding.py` allows a library's exp 8 u. A fused kernel may come with a
faster one, chosen by the processor it runs on, and worse. It shows where
one key is ahead and another is t behind it: with the value 1 there, and 0
everywhere else, the output is

$$p = \frac{e^{-t}}{1 + e^{-t}}$$

and moves by (1 - p) of what the two exponentials are off by, relative to
each other. What is the same for both cancels, as it does in any softmax;
so the largest that is seen, between any two keys, is all that a bound has
to know. Scores are exact: with 16 features the scale is 1/4, and its root
1/2. Rounding the distance, and log2 e where it is a factor, may have made
up to 2 t u of what is seen, which a bound counts by itself.

A kernel may take keys by whole vectors with one exp, and what is left of
them with another: so the two keys stand at either end, and among few keys
and many. What is off by more than about 1e-5 of a float32 is another
function than exp, on purpose or not, and nothing is allowed for it.
"""

from decimal import Decimal
from math import ceil, inf

import numpy as np

from .rounding import FUNCTION_ROUNDINGS, Rounding

FEATURES = 16
KEYS = (2, 8, 17, 64, 65)
FAR_BEHIND = 400.0  # in scores: e^-400 is 0 in float32
FURTHEST = 16.0
DISTANCES = 1500
MOST_ROUNDINGS = 160  # 9.5e-6 in float32


def exp_roundings(kernel, dtype="float32") -> int:
    """How many u the bound of a kernel's softmax must allow its exp.

    `kernel(query, key, value)` takes (tokens, features) arrays. Never
    less than a library's, and no more for what is no exp.
    """
    measured = measured_exp_error(kernel, dtype)
    if not FUNCTION_ROUNDINGS < measured <= MOST_ROUNDINGS:
        return FUNCTION_ROUNDINGS
    return ceil(measured)


def measured_exp_error(kernel, dtype="float32") -> float:
    """The largest relative error of exp that shows, in units of u;
    infinite where an output is NaN or infinite."""
    distances = np.linspace(0, FURTHEST, DISTANCES).astype(dtype)
    shares = shares_behind(distances)
    return max(
        error_between(kernel, distances, shares, keys, ahead, behind)
        for keys in KEYS
        for ahead, behind in ((0, keys - 1), (keys - 1, 0), (0, 1), (1, 0))
    )


def shares_behind(distances) -> np.ndarray:
    """p for each distance, to the last digit of float64."""
    powers = [Decimal(distance).exp() for distance in distances.tolist()]
    return np.array([float(1 / (1 + power)) for power in powers])


def error_between(kernel, distances, shares, keys, ahead, behind) -> float:
    """The largest that shows between two of the keys."""
    arrays = two_keys(distances, keys, ahead, behind)
    output = kernel(*arrays)[:, 0].astype(np.float64)
    if not np.isfinite(output).all():
        return inf
    unit = Rounding.of(distances.dtype).u
    off = np.abs(output / shares - 1) / (1 - shares) / unit
    return float((off - 2 * distances).max())


def two_keys(distances, keys, ahead, behind):
    """A query for each distance: so far behind is the key `behind`, whose
    value is 1."""
    dtype = distances.dtype
    query = np.zeros((len(distances), FEATURES), dtype)
    query[:, 0], query[:, 1] = 4 * distances, 4
    key = np.zeros((keys, FEATURES), dtype)
    key[:, 1] = -FAR_BEHIND
    key[ahead, 1] = key[behind, 1] = 0
    key[behind, 0] = -1
    value = np.zeros((keys, FEATURES), dtype)
    value[behind, 0] = 1
    return query, key, value
