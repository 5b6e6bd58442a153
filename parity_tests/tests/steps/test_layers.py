from dataclasses import replace
from math import erfc, sqrt

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref import layers
from numpy_ref.normal_distribution import normal_cdf
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import largest, within
from parity_tests.twins.finding import find_twins
from parity_tests.twins.strategies import cases
from torch_impl import layers as torch_layers

TWINS = {twin.name: twin for twin in find_twins()}
DTYPES = st.sampled_from(["float32", "float64"])


@given(data=st.data(), dtype=DTYPES)
def test_linear_equals_pytorchs_own(data, dtype):
    case = data.draw(cases(TWINS["linear"], dtype))
    weights = case.params.weight, case.params.bias
    tensors = [torch.from_numpy(a) for a in (case.arguments["x"], *weights)]
    theirs = F.linear(*tensors).numpy()
    ours = layers.linear(**case.numpy_arguments())
    exact = exact_steps("linear", case.arguments, case.params)["y"]
    comparison = within("linear[0]/y", ours, theirs, 2 * exact.error)
    expect_holds(f"NumPy and F.linear, {dtype}", comparison)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_with_pytorchs_choices_equals_pytorchs_own(rate):
    x = np.random.default_rng(0).uniform(1, 2, size=(40, 50))
    torch.manual_seed(0)
    theirs = F.dropout(torch.from_numpy(x), rate).numpy()
    dropout_mask = theirs != 0
    assert abs(dropout_mask.mean() - (1 - rate)) < 0.05
    arguments = {"x": x, "dropout_mask": dropout_mask, "rate": rate}
    exact = exact_steps("dropout", arguments)["y"]
    ours = layers.dropout(**arguments)
    comparison = within("dropout[0]/y", ours, theirs, 2 * exact.error)
    expect_holds("NumPy and F.dropout, float64", comparison)


def test_a_nan_that_is_dropped_is_gone():
    x, dropout_mask = np.array([np.nan, 2.0]), np.array([False, True])
    theirs = torch_layers.dropout(
        *map(torch.from_numpy, (x, dropout_mask)), 0.5
    )
    np.testing.assert_array_equal(
        layers.dropout(x, dropout_mask, 0.5), [0, 4]
    )
    np.testing.assert_array_equal(theirs, [0, 4])


def test_dropout_keeps_the_mean_in_expectation_only():
    x = np.ones((200, 500))
    dropout_mask = np.random.default_rng(0).uniform(size=x.shape) >= 0.25
    y = layers.dropout(x, dropout_mask, 0.25)
    # 100,000 choices: the mean's standard deviation is 0.0018.
    assert abs(y.mean() - 1) < 0.01
    assert y.mean(axis=1).std() > 0.01


@given(data=st.data(), dtype=DTYPES)
def test_layer_norm_equals_pytorchs_own(data, dtype):
    case = data.draw(cases(TWINS["layer_norm"], dtype))
    x, epsilon = case.arguments["x"], case.arguments["epsilon"]
    weight, bias = case.module.weight, case.module.bias
    with torch.no_grad():
        theirs = F.layer_norm(
            torch.from_numpy(x), x.shape[-1:], weight, bias, epsilon
        )
    ours = layers.layer_norm(**case.numpy_arguments())
    exact = exact_steps("layer_norm", case.arguments, case.params)["y"]
    comparison = within(
        "layer_norm[0]/y", ours, theirs.numpy(), 2 * exact.error
    )
    expect_holds(f"NumPy and F.layer_norm, {dtype}", comparison)


@pytest.mark.parametrize(
    ("name", "approximate"), [("gelu", "none"), ("gelu_tanh", "tanh")]
)
@given(data=st.data(), dtype=DTYPES)
def test_gelu_equals_pytorchs_own(name, approximate, data, dtype):
    case = data.draw(cases(TWINS[name], dtype))
    x = case.arguments["x"]
    theirs = F.gelu(torch.from_numpy(x), approximate=approximate).numpy()
    ours = getattr(layers, name)(x)
    exact = exact_steps(name, case.arguments)["y"]
    comparison = within(f"{name}[0]/y", ours, theirs, 2 * exact.error)
    # For x far below 0 a GELU is next to nothing, its error as x is.
    comparison = replace(comparison, scale=largest(x))
    expect_holds(f"NumPy and F.gelu, {approximate}, {dtype}", comparison)


@pytest.mark.slow
def test_the_two_forms_of_gelu_differ_by_what_is_said_of_them():
    x = np.linspace(-10, 10, 2_000_001)
    apart = abs(layers.gelu(x) - layers.gelu_tanh(x))
    assert round(apart.max(), 6) == 4.73e-4
    assert round(abs(x[apart.argmax()]), 2) == 2.70


@pytest.mark.parametrize(
    ("dtype", "most"), [("float32", 2.5), ("float64", 3.0)]
)
def test_phi_is_off_by_no_more_than_is_said_of_it(dtype, most):
    rng = np.random.default_rng(0)
    near = rng.normal(size=20_000) * 3
    between = (np.arange(-9216, 9217) + 0.5) / 1024
    x = np.concatenate([near, between, [-np.inf, -40, 40, np.inf]])
    x = x.astype(dtype)
    exact = np.array([erfc(-a / sqrt(2)) / 2 for a in x.astype(float)])
    apart = abs(normal_cdf(x).astype(float) - exact)
    assert apart.max() <= most * np.finfo(dtype).eps / 2


def test_phi_passes_a_nan_on_and_takes_any_shape():
    x = np.array([[0.0, np.nan], [np.inf, -np.inf]])
    np.testing.assert_array_equal(
        normal_cdf(x).round(15), [[0.5, np.nan], [1, 0]]
    )
    assert normal_cdf(np.zeros((0, 3), "float32")).shape == (0, 3)
    assert normal_cdf(np.float32(0.5)[None][:, None].T).dtype == "float32"
    long = np.linspace(-3, 3, 100_001)
    np.testing.assert_array_equal(
        normal_cdf(long)[::10], normal_cdf(long[::10])
    )
