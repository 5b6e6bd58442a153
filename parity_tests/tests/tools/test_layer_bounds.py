"""The bounds of layers and gradients hold on hard inputs."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref import layers
from parity_tests.bounds import gradients as gradient_bounds
from parity_tests.bounds import layers as layer_bounds
from parity_tests.bounds.rounding import Bounded, Rounding, apply
from parity_tests.exact import exact_steps
from parity_tests.exact.numbers import bounded
from parity_tests.twins.comparing import with_exact, within

DOUBLE = Rounding.of("float64")


def off(value, error):
    return Bounded(np.array(value), np.array(error), DOUBLE)


@given(
    seed=st.integers(0, 999),
    offset=st.sampled_from([0, 1, 1e3, 1e6]),
    spread=st.sampled_from([1e-6, 1e-3, 1, 1e3]),
    epsilon=st.sampled_from([1e-12, 1e-5]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_layer_norm_stays_within_its_bound_on_hard_inputs(
    seed, offset, spread, epsilon, dtype
):
    rng = np.random.default_rng(seed)
    features = int(rng.integers(1, 40))
    x = (offset + spread * rng.normal(size=(2, features))).astype(dtype)
    d_y, weight, bias = rng.normal(size=(3, 2, features)).astype(dtype)
    params = layers.LayerNorm(weight[0], bias[0])
    arguments = {"x": x, "epsilon": epsilon}
    exact = exact_steps("layer_norm", arguments, params, digits=True)["y"]
    y = layers.layer_norm(x, params, epsilon)
    assert within("y", y, exact.value, exact.error).holds
    d_x, d_params = layers.layer_norm_backward(d_y, x, params, epsilon)
    exact = exact_steps(
        "layer_norm_backward", {"d_y": d_y} | arguments, params, digits=True
    )
    assert all(c.holds for c in with_exact("d_x", d_x, exact["d_x"]))
    (held,) = with_exact("w", d_params.weight, exact["d_params"].weight)
    assert held.holds


def test_a_root_is_off_most_where_its_number_is_near_zero():
    a = layer_bounds.root(off([4.0, 0.0], [0.5, 0.25]))
    np.testing.assert_array_equal(a.value, [2, 0])
    assert 2 - np.sqrt(3.5) <= a.error[0] <= 2 - np.sqrt(3.5) + 1e-15
    assert a.error[1] >= 0.5  # the root of 0.25


def test_a_tangent_is_less_off_where_it_is_flat():
    steep, flat = layer_bounds.hyperbolic_tangent(
        off([0.0, 5.0], [0.1, 0.1])
    ).error
    assert np.tanh(0.1) <= steep <= 0.1 + 1e-15
    assert np.tanh(5) - np.tanh(4.9) <= flat < 3e-5


def test_phi_is_no_steeper_than_four_tenths():
    a = layer_bounds.normal_cdf(off([0.0, 3.0], [0.1, 50.0]))
    assert a.value[0] == 0.5
    assert float(mpmath.ncdf(0.1)) - 0.5 <= a.error[0] < 0.0401
    assert a.error[1] == 1


def test_a_quotient_may_be_as_large_as_its_divisor_is_small():
    a, b = off([1.0], [0.0]), off([0.5], [1.0])
    worst = abs(1 / 0.25 - 1 / 0.5)
    assert gradient_bounds.quotient(a, b, 0.25).error >= worst


def test_the_greatest_score_is_any_that_errors_could_make_it():
    scores = off([[1.0, 0.95, 0.5, 9.0]], [[0.02, 0.04, 0.1, 0.0]])
    mask = np.array([[True, True, True, False]])
    greatest = gradient_bounds.may_be_greatest(scores, mask)
    np.testing.assert_array_equal(greatest, [[True, True, False, False]])


# Small mutants that a tolerance typed by hand would let through.
MUTANTS = {
    "a thousandth of the mean is forgotten": lambda w, d: (
        w * (d - 0.999 * (w * d).sum(-1, keepdims=True))
    ),
    "single precision": lambda w, d: (
        w * (d - (w * d).sum(-1, keepdims=True).astype("float32"))
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_bound_of_softmaxs_gradient_is_too_narrow_for(mutant):
    scores, d_weights = np.random.default_rng(0).normal(size=(2, 5, 7))
    exact = gradient_bounds.softmax_gradient(
        bounded(scores), np.True_, bounded(d_weights)
    )
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    wrong = MUTANTS[mutant](weights, d_weights)
    bound = exact["d_scores"]
    assert not within("d_scores", wrong, bound.value, bound.error).holds


def test_functions_are_mpmaths_where_numbers_are():
    (number,) = apply("tanh", np.array([mpmath.mpf(1)], dtype=object))
    assert isinstance(number, mpmath.mpf)
