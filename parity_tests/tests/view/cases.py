"""Random attention for the tests of `bert_viz`, and its error bounds."""

from functools import cache
from math import exp, fsum

import numpy as np
from hypothesis import strategies as st

from bert_viz import attend, from_arrays
from parity_tests.bounds.rounding import Rounding
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within

SEED = "The artist painted the portrait of a woman with a brush"
PUNCTUATION = (",", "?!")
TOKENS = ("[CLS]", "a", "b", "##b", *PUNCTUATION, "[SEP]")
DTYPES = ("float32", "float64")


@st.composite
def attentions(draw, causal=None, dtype=None):
    """Heads from nearly uniform to nearly one-hot; every axis differs."""
    layers, heads = draw(st.integers(1, 2)), draw(st.integers(3, 4))
    count = draw(st.integers(5, 8))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    scale = exp(draw(st.floats(-3, 4)))
    scores = scale * rng.normal(size=(layers, heads, count, count))
    if draw(st.booleans()) if causal is None else causal:
        scores = np.where(np.tri(count, dtype=bool), scores, -np.inf)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = powers / powers.sum(axis=-1, keepdims=True)
    return from_arrays(
        rng.choice(TOKENS, count).tolist(),
        weights.astype(dtype or draw(st.sampled_from(DTYPES))),
        segments=np.arange(count) // draw(st.integers(2, count)),
    )


def heads_and_rows(attention):
    """(layer, head), and its rows as lists of Python's floats."""
    for head in np.ndindex(attention.weights.shape[:2]):
        yield head, attention.weights[head].astype(float).tolist()


def expect_near(name, got, expected, roundings, size=None, dtype=None):
    """At most `roundings` apart, of numbers of that size."""
    got, expected = np.asarray(got), np.asarray(expected, float)
    rounding = Rounding.of(dtype or got.dtype)
    size = abs(expected) if size is None else np.asarray(size)
    bound = rounding.gamma(roundings) * size + rounding.eta
    comparison = within(name, got, expected, bound)
    expect_holds(f"metrics of heads, {dtype or got.dtype}", comparison)


def mean(numbers):
    numbers = list(numbers)
    return fsum(numbers) / len(numbers)


def one_head(rows, tokens=None):
    rows = np.asarray(rows, float)
    tokens = tokens or [f"w{position}" for position in range(len(rows))]
    return from_arrays(tokens, rows[None, None])


@cache
def minilm(dtype="float32"):
    return attend(SEED, dtype=dtype)
