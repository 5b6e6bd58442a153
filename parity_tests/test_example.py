"""The example by hand, computed once more in fractions."""

from fractions import Fraction
from math import log
from operator import mul

import numpy as np

from numpy_ref import example
from numpy_ref.attention import masked_softmax, scaled_dot_product_attention

# The query matrix without its sqrt(2) ln 2, which the scale takes away.
UNIT = np.rint(example.QUERY / (np.sqrt(2) * log(2)))


def whole(array) -> list[list[Fraction]]:
    return [[Fraction(int(entry)) for entry in row] for row in array]


def times(a, b) -> list[list[Fraction]]:
    columns = list(zip(*b, strict=True))
    return [[sum(map(mul, row, column)) for column in columns] for row in a]


X = whole(example.X)
QUERY, KEY, VALUE = (
    times(X, whole(matrix)) for matrix in (UNIT, example.KEY, example.VALUE)
)
SCORES = times(QUERY, zip(*KEY, strict=True))


def fractions_of(scores, allowed):
    powers = [
        Fraction(2) ** int(score) if may else Fraction(0)
        for score, may in zip(scores, allowed, strict=True)
    ]
    return [power / sum(powers) for power in powers]


WEIGHTS = [
    fractions_of(scores, allowed)
    for scores, allowed in zip(SCORES, example.MASK, strict=True)
]


def test_queries_keys_and_values_are_those_of_the_pencil():
    assert whole(example.QUERIES) == QUERY
    assert whole(example.KEYS) == KEY
    assert whole(example.VALUES) == VALUE


def test_the_scores_are_those_of_the_pencil():
    assert whole(example.SCORES_IN_LN_2) == SCORES


def test_the_weights_are_those_of_the_pencil():
    assert [list(row) for row in example.WEIGHTS] == WEIGHTS
    sevenths = {Fraction(1, 7), Fraction(2, 7), Fraction(4, 7)}
    assert sevenths <= {weight for row in WEIGHTS for weight in row}


def test_the_context_is_that_of_the_pencil():
    assert [list(row) for row in example.CONTEXT] == times(WEIGHTS, VALUE)


def test_the_reference_finds_what_the_pencil_found():
    matrices = (example.QUERY, example.KEY, example.VALUE)
    query, key, value = (example.X @ matrix for matrix in matrices)
    context = scaled_dot_product_attention(query, key, value, example.MASK)
    weights = masked_softmax(example.SCORES, example.MASK)
    for found, pencil in (
        (weights, example.WEIGHTS),
        (context, example.CONTEXT),
    ):
        by_hand = np.array(pencil, dtype=np.float64)
        np.testing.assert_allclose(found, by_hand, rtol=1e-14, atol=0)
