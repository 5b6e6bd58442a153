"""The example by hand, computed once more in fractions."""

from fractions import Fraction
from math import log
from operator import mul

import numpy as np

from numpy_ref import example
from numpy_ref.attention import (
    attention_scores,
    masked_softmax,
    scaled_dot_product_attention,
)
from parity_tests.exact import exact_steps
from parity_tests.twins.comparing import within

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
    arguments = {"query": query, "key": key, "value": value}
    arguments["mask"] = example.MASK
    exact = exact_steps("scaled_dot_product_attention", arguments)
    scores = attention_scores(query, key)
    computed = {
        "weights": masked_softmax(scores, example.MASK),
        "context": scaled_dot_product_attention(**arguments),
    }
    pencil = {"weights": example.WEIGHTS, "context": example.CONTEXT}
    for name in computed:
        by_hand = np.array(pencil[name], dtype=np.float64)
        # Twice the error: of ours, and of the inputs' own last digit.
        bound = 2 * exact[name].error
        comparison = within(name, computed[name], by_hand, bound)
        assert comparison.holds, comparison
