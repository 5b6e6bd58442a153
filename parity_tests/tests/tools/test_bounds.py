"""The bounds hold on hard inputs, and are not wide enough to hide a bug."""

from itertools import permutations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref import attention
from parity_tests.bounds.gradients import along_paths
from parity_tests.bounds.rounding import (
    Bounded,
    Rounding,
    affine,
    distribution,
    exponential,
    in_digits,
    product,
    products,
    wave,
    where,
)
from parity_tests.exact import exact_steps
from parity_tests.exact.numbers import bounded
from parity_tests.twins.comparing import within

SINGLE, DOUBLE = Rounding.of("float32"), Rounding.of("float64")


def exactly(*numbers, dtype="float64"):
    return bounded(np.array(numbers, dtype))


def test_a_precision_is_that_of_ieee_754():
    assert (SINGLE.u, DOUBLE.u) == (2.0**-24, 2.0**-53)
    assert (SINGLE.eta, DOUBLE.eta) == (2.0**-126, 2.0**-1022)
    small = pytest.approx(4 * 2.0**-53, rel=1e-15, abs=0)
    assert DOUBLE.gamma(4) == small


def test_a_sum_is_off_by_its_operands_errors_and_one_rounding():
    a = Bounded(np.array([3.0]), np.array([0.25]), DOUBLE)
    b = Bounded(np.array([-1.0]), np.array([0.5]), DOUBLE)
    for result, value in ((a + b, 2.0), (a - b, 4.0)):
        rounding = 2.0**-53 * (value + 0.75)
        assert result.value == value
        assert result.error == pytest.approx(0.75 + rounding, rel=1e-15)


def test_what_comes_along_paths_may_be_added_in_any_order():
    u = np.float32(2.0**-24)
    parts = [np.float32(1), 1.01 * u, 1.5 * u]
    terms = [exactly(part, dtype="float32") for part in parts]
    total = along_paths(*terms)
    assert total.value == sum(map(float, parts))
    errors = [
        abs((first + second) + third - float(total.value[0]))
        for first, second, third in permutations(parts)
    ]
    assert (terms[0] + (terms[1] + terms[2])).error < max(errors)
    assert max(errors) <= total.error < 2.1 * u


def test_a_quotient_has_its_dividends_error_and_three_roundings():
    a = Bounded(np.array([6.0]), np.array([0.5]), DOUBLE)
    assert a.over(2.0).value == 3
    rounding = DOUBLE.gamma(3) * 3.25
    assert a.over(2.0).error == pytest.approx(0.25 + rounding, rel=1e-15)


def test_after_too_many_roundings_nothing_is_known():
    assert SINGLE.gamma(2**24 - 1) > 0
    assert SINGLE.gamma(2**24) == SINGLE.gamma(2**25) == np.inf


def test_scores_that_are_far_off_leave_the_weights_unknown():
    scores = Bounded(np.array([[0.0, 900.0]]), np.full((1, 2), 1e4), DOUBLE)
    np.testing.assert_allclose(distribution(scores, np.True_).error, 1)


def test_a_product_has_gamma_of_its_terms():
    a, b = exactly([1.0, -2.0]), exactly([3.0, 4.0])
    result = product("qi,ki->qk", a, b)
    assert result.value == -5
    expected = DOUBLE.gamma(2) * 11 + 2 * DOUBLE.eta
    assert result.error == pytest.approx(expected, rel=1e-15, abs=0)


def test_a_product_carries_errors_along():
    a = Bounded(np.array([[1.0, -2.0]]), np.array([[0.5, 0.0]]), DOUBLE)
    b = Bounded(np.array([[3.0, 4.0]]), np.array([[0.0, 0.25]]), DOUBLE)
    error = product("qi,ki->qk", a, b).error
    assert error == pytest.approx(0.5 * 3 + 2 * 0.25, rel=1e-14)


def test_products_of_several_have_gamma_of_all_that_is_summed():
    a, b, c = exactly([1.0, -2.0]), exactly([3.0, 4.0]), exactly([2.0])
    result = products("qi,ki,kv->qv", a, b, c)
    assert result.value == -10
    expected = DOUBLE.gamma(2 + 1 + 3) * 22 + 2 * 16 * DOUBLE.eta
    assert result.error == pytest.approx(expected, rel=1e-15, abs=0)
    a = Bounded(a.value, np.array([[0.5, 0.0]]), DOUBLE)
    c = Bounded(c.value, np.array([[0.25]]), DOUBLE)
    carried = products("qi,ki,kv->qv", a, b, c).error
    assert carried == pytest.approx(0.5 * 3 * 2.25 + 11 * 0.25, rel=1e-14)


@given(st.integers(0, 2**32 - 1))
def test_products_may_be_taken_from_either_end(seed):
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(3, 20, 20)).astype(np.float32)
    bound = products("ij,jk,kl->il", *map(bounded, (a, b, c)))
    for ours in ((a @ b) @ c, a @ (b @ c)):
        assert within("product", ours, bound.value, bound.error).holds


def test_an_exponential_makes_an_error_relative():
    a = Bounded(np.array([2.0]), np.array([0.1]), DOUBLE)
    worst = np.exp(2.1) - np.exp(2)
    assert exponential(a).error == pytest.approx(worst, rel=1e-13)


def test_a_wave_is_no_steeper_than_one():
    a = Bounded(np.array([1.0]), np.array([0.1]), DOUBLE)
    assert wave("sin", a).value == np.sin(1.0)
    assert 0.1 < wave("cos", a).error < 0.1 + 1e-14


def test_a_choice_has_no_error_where_the_number_is_given():
    a = Bounded(np.array([1.0, 2.0]), np.array([0.5, 0.5]), DOUBLE)
    chosen = where(np.array([True, False]), a, -np.inf)
    np.testing.assert_array_equal(chosen.value, [1, -np.inf])
    np.testing.assert_array_equal(chosen.error, [0.5, 0])


def test_an_affine_map_allows_the_bias_among_the_products():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(5, 400)), rng.normal(size=(3, 400))
    bias = 1e6 * rng.normal(size=3)
    exact = in_digits(x) @ in_digits(weight).T + in_digits(bias)
    bound = affine(*map(bounded, (x, weight, bias)))
    bias_first = bias + np.zeros((5, 3))
    for term in range(400):
        bias_first = bias_first + x[:, [term]] * weight[:, term]
    for computed in (x @ weight.T + bias, bias_first):
        comparison = within("affine", computed, exact, bound.error)
        assert comparison.holds, comparison


def worst_share(query, key, value, mask) -> float:
    """How near computed attention comes to its bound, from 50 digits."""
    arguments = {"query": query, "key": key, "value": value, "mask": mask}
    exact = exact_steps(
        "scaled_dot_product_attention", arguments, digits=True
    )
    computed = attention.scaled_dot_product_attention(**arguments)
    scores = attention.attention_scores(query, key)
    steps = {
        "scores": scores,
        "weights": attention.masked_softmax(scores, mask),
        "context": computed,
    }
    return max(
        within(
            name, steps[name], exact[name].value, exact[name].error
        ).share
        for name in steps
    )


@given(
    seed=st.integers(0, 999),
    spread=st.floats(-2, 4),
    offset=st.sampled_from([0, 1e3, 1e6, 1e9]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_attention_stays_within_its_bound_on_hard_inputs(
    seed, spread, offset, dtype
):
    rng = np.random.default_rng(seed)
    queries, keys, d_head = rng.integers(1, 12, 3)
    query = rng.normal(size=(queries, d_head)) * np.exp(spread)
    key = rng.normal(size=(keys, d_head)) + offset
    value = rng.normal(size=(keys, 3)) + offset
    mask = rng.uniform(size=(queries, keys)) < 0.8
    arrays = (array.astype(dtype) for array in (query, key, value))
    assert worst_share(*arrays, mask) <= 1


def test_subnormal_products_stay_within_the_bound():
    tiny = np.full((3, 4), 2.0**-540)
    value = np.full((3, 2), 2.0**-1070)
    assert worst_share(tiny, tiny, value, np.ones((3, 3), bool)) <= 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_long_row_stays_within_the_bound(dtype):
    rng = np.random.default_rng(0)
    scores = (30 * rng.normal(size=(1, 3000))).astype(dtype)
    exact = exact_steps("softmax", {"scores": scores}, digits=True)
    weights = attention.softmax(scores)
    bound = exact["weights"]
    assert within("weights", weights, bound.value, bound.error).holds


# Small mutants that a tolerance typed by hand would let through.
MUTANTS = {
    "the scale is off by a millionth": lambda s: s * (1 + 1e-6),
    "a constant is added": lambda s: s + 1e-9 * np.arange(s.shape[-1]),
    "it is computed in single precision": lambda s: s.astype("float32"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_bound_of_the_weights_is_too_narrow_for(mutant):
    scores = np.random.default_rng(0).normal(size=(5, 7))
    weights = attention.softmax(MUTANTS[mutant](scores))
    bound = distribution(bounded(scores), np.True_)
    assert not within("weights", weights, bound.value, bound.error).holds


def test_exact_numbers_hold_what_a_float_holds():
    (number,) = in_digits(np.array([0.1], dtype=np.float32))
    assert number == mpmath.mpf(13421773) / 2**27
