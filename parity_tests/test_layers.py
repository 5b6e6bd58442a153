import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref import layers
from torch_impl import layers as torch_layers

from .comparing import within
from .conftest import expect_holds
from .exact import exact_steps
from .strategies import cases
from .twins import find_twins

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
    keep = theirs != 0
    assert abs(keep.mean() - (1 - rate)) < 0.05
    arguments = {"x": x, "keep": keep, "rate": rate}
    exact = exact_steps("dropout", arguments)["y"]
    ours = layers.dropout(**arguments)
    comparison = within("dropout[0]/y", ours, theirs, 2 * exact.error)
    expect_holds("NumPy and F.dropout, float64", comparison)


def test_a_nan_that_is_dropped_is_gone():
    x, keep = np.array([np.nan, 2.0]), np.array([False, True])
    theirs = torch_layers.dropout(*map(torch.from_numpy, (x, keep)), 0.5)
    np.testing.assert_array_equal(layers.dropout(x, keep, 0.5), [0, 4])
    np.testing.assert_array_equal(theirs, [0, 4])


def test_dropout_keeps_the_mean_in_expectation_only():
    x = np.ones((200, 500))
    keep = np.random.default_rng(0).uniform(size=x.shape) >= 0.25
    y = layers.dropout(x, keep, 0.25)
    # 100,000 choices: the mean's standard deviation is 0.0018.
    assert abs(y.mean() - 1) < 0.01
    assert y.mean(axis=1).std() > 0.01
