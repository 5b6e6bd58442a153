"""Sums in half that are too long for a bound: the statistical one.

Kernels add up in half in several orders; none may pass the bound, and
each mistake named here must.
"""

from dataclasses import replace

import numpy as np
import pytest

from parity_tests.bounds.half_precision import attention_bound
from parity_tests.bounds.half_statistics import (
    interleaved,
    premise,
    statistical_bound,
)
from parity_tests.judge import judge
from parity_tests.judge.attention.conventions import Declared
from parity_tests.judge.half.kernels import EAGER, WholeKernel, half_type

SUMS_IN_HALF = replace(EAGER, score_roundings=0, context_in="half")
SIZES = (257, 300, 384)


def lanes(products, add, count):
    """Every so many-th key together, then what these come to."""
    within, _ = interleaved(products, count)
    return in_order(in_order(within, add), add)


def in_order(products, add):
    total = np.zeros_like(products[..., 0, :])
    for index in range(products.shape[-2]):
        total = add(total, products[..., index, :])
    return total


def in_pairs(products, add):
    while products.shape[-2] > 1:
        if products.shape[-2] % 2:
            end = np.zeros_like(products[..., :1, :])
            products = np.concatenate([products, end], axis=-2)
        products = add(products[..., ::2, :], products[..., 1::2, :])
    return products[..., 0, :]


ORDERS = {
    "in order": in_order,
    "backwards": lambda products, add: in_order(np.flip(products, -2), add),
    "two lanes": lambda products, add: lanes(products, add, 2),
    "eight lanes": lambda products, add: lanes(products, add, 8),
    "in pairs": in_pairs,
}


def summed(inputs, dtype, order=in_order, scale=1.0, last=None):
    """Attention in float32, whose context is added up in half."""

    def half(numbers):
        return numbers.astype(half_type(dtype)).astype(np.float32)

    query, key, value = inputs
    scores = query @ key.mT * np.float32(query.shape[-1] ** -0.5 * scale)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    weights = half(powers / powers.sum(-1, keepdims=True))
    products = half(weights[..., None] * value[..., None, :, :])
    return order(products[..., :last, :], lambda a, b: half(a + b))


def drawn(seed, dtype="bfloat16", sign=None, keys=None):
    """Query, key and value of more keys than a bound is for."""
    random = np.random.default_rng(seed)
    keys = keys or SIZES[seed % len(SIZES)]
    query = random.normal(size=(2, 16)) * 10 ** random.uniform(-1, 0.5)
    key, value = (random.normal(size=(keys, n)) for n in (16, 6))
    if sign is not None:
        value = np.abs(value) * sign(np.arange(keys))[:, None]
    return [
        a.astype(half_type(dtype)).astype(np.float32)
        for a in (query, key, value)
    ]


# How values may be signed, key by key.
SIGNS = {
    "both": None,
    "in turn": lambda key: np.where(key % 2, 1, -1),
    "half and half": lambda key: np.where(key < 128, 1, -1),
}


@pytest.mark.parametrize("signs", SIGNS)
@pytest.mark.parametrize("order", ORDERS)
def test_sums_in_half_stay_within_the_statistical_bound(order, signs):
    shares = []
    for seed in range(6):
        inputs = drawn(seed, sign=SIGNS[signs])
        assert attention_bound(*inputs, SUMS_IN_HALF).accumulation
        bound = statistical_bound(*inputs, SUMS_IN_HALF)
        got = summed(inputs, "bfloat16", ORDERS[order])
        known = np.isfinite(bound.error)
        shares += [*(np.abs(got - bound.value) / bound.error)[known]]
    assert shares
    assert 0.005 < max(shares) <= 0.5


def test_lanes_of_one_sign_are_allowed_for():
    """In the order of the keys these sums never grow, in lanes they do."""
    inputs = drawn(0, sign=SIGNS["in turn"], keys=1024)
    inputs[0] *= np.float32(0)  # all weights alike
    bound = statistical_bound(*inputs, SUMS_IN_HALF)
    got = summed(inputs, "bfloat16", ORDERS["two lanes"])
    assert (np.abs(got - bound.value) <= 0.5 * bound.error).all()


def test_it_holds_for_sums_in_float16():
    inputs = drawn(0, "float16", keys=2100)
    profile = replace(SUMS_IN_HALF, dtype="float16")
    bound = statistical_bound(*inputs, profile)
    assert bound.statistical
    assert np.isfinite(bound.error).all()
    got = summed(inputs, "float16")
    assert (np.abs(got - bound.value) <= 0.5 * bound.error).all()


WRONG = {
    "a constant": lambda inputs: np.ones((2, 6)),
    "the mean": lambda inputs: inputs[2].mean(0),
    "a scale of a half": lambda inputs: summed(
        inputs, "bfloat16", scale=0.5
    ),
    "the last keys left out": lambda inputs: summed(
        inputs, "bfloat16", last=192
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_some_mistakes_are_seen(name):
    caught = 0
    for seed in range(12):
        inputs = drawn(seed)
        bound = statistical_bound(*inputs, SUMS_IN_HALF)
        off = np.abs(WRONG[name](inputs) - bound.value)
        caught += bool((off > bound.error).any())
    assert caught >= 4, f"{caught} of 12"


def test_where_all_values_have_one_sign_nothing_is_said():
    """The sum stands still, which no independent roundings do."""
    inputs = drawn(1, sign=np.ones_like, keys=1024)
    inputs[0] *= np.float32(0.01)  # all weights alike
    bound = statistical_bound(*inputs, SUMS_IN_HALF)
    assert bound.accumulation
    assert np.isinf(bound.error).all()
    stuck = np.abs(summed(inputs, "bfloat16") - bound.value)
    assert (stuck > 0.2 * np.abs(bound.value)).all()


@pytest.mark.parametrize(
    "change",
    [
        {"sum_in": "half"},  # of one sign, always
        {"normalised": False},  # sums are rescaled on the way
    ],
)
def test_of_other_sums_nothing_is_said(change):
    profile = replace(SUMS_IN_HALF, **change)
    assert np.isinf(statistical_bound(*drawn(0), profile).error).all()


def test_the_premise_counts_the_keys_that_a_query_sees():
    products = np.array([[[1.0], [-0.5], [2.0**-12], [2.0**-12], [0.0]]])
    some = np.array([[True, True, True, False, False]])
    assert premise(products, some, 2.0**-8).all()
    assert not premise(products, np.ones_like(some), 2.0**-8).any()
    assert not premise(np.abs(products), some, 2.0**-8).any()


def test_a_row_without_a_key_is_zero():
    mask = np.arange(2)[:, None] * np.ones((1, 300)) > 0
    inputs = drawn(0, keys=300)
    bound = statistical_bound(*inputs, SUMS_IN_HALF, mask)
    assert (bound.value[0] == 0).all()
    assert (bound.error[0] < 1e-30).all()


# --- in the judge --------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("limit", [None, 280])
def test_a_report_says_what_is_statistical(limit):
    right = WholeKernel(replace(EAGER, context_in="half"))

    def attention(query, key, value, mask=None):
        output = right(query, key, value, mask)
        return output * (limit is None or key.shape[-2] < limit)

    declared = Declared(profile=right.profile)
    report = judge(
        attention, declared=declared, dtype="bfloat16", examples=12
    )
    (remark,) = [r for r in report.remarks if r.startswith("statistical: ")]
    assert "no theorem" in remark
    assert report.verdict == ("holds" if limit is None else "rejected")
    for failed in report.failed:
        assert failed.failure.difference.startswith("statistical: context")
