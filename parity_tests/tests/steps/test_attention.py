"""`F.scaled_dot_product_attention` as the oracle, and the limits."""

from collections import Counter
from math import inf, nan

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from numpy_ref import attention
from numpy_ref.masks import causal_mask
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import expect_holds
from parity_tests.twins.comparing import within
from parity_tests.twins.finding import find_twins
from parity_tests.twins.strategies import cases
from torch_impl import attention as torch_attention

TWINS = {twin.name: twin for twin in find_twins()}
ATTENTION = TWINS["scaled_dot_product_attention"]
FUSED = "_scaled_dot_product_flash_attention_for_cpu"
KERNELS = {"math": SDPBackend.MATH, "fused": SDPBackend.FLASH_ATTENTION}


class Watch(TorchDispatchMode):
    """Counts the operations that PyTorch really runs."""

    def __init__(self):
        super().__init__()
        self.ran = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.ran[operation.overloadpacket.__name__] += 1
        return operation(*args, **(kwargs or {}))


def four_axes(array):
    """With exactly two axes before the last two, as the kernel wants."""
    *batch, rows, features = array.shape
    batch = [1, 1, *batch][-2:]
    return torch.from_numpy(array.copy()).reshape(*batch, rows, features)


def builtin_attention(kernel, query, key, value, mask):
    """PyTorch's own, with that kernel; raises when another one ran.

    The fused kernel wants values as wide as keys, so both are padded with
    zeros, which changes neither a score nor the columns that are kept;
    and the scale, which would change, is given.
    """
    width = max(key.shape[-1], value.shape[-1])
    padded = [
        F.pad(four_axes(a), (0, width - a.shape[-1]))
        for a in (query, key, value)
    ]
    rows = np.broadcast_to(mask, (*query.shape[:-1], key.shape[-2]))
    with sdpa_kernel(KERNELS[kernel]), Watch() as watch:
        context = F.scaled_dot_product_attention(
            *padded,
            attn_mask=four_axes(rows),
            scale=query.shape[-1] ** -0.5,
        )
    ran = "fused" if watch.ran[FUSED] else "math"
    if ran != kernel:
        raise AssertionError(f"expected the {kernel} kernel, got {ran}")
    shape = (*query.shape[:-1], value.shape[-1])
    return context[..., : value.shape[-1]].reshape(shape).numpy()


@pytest.mark.parametrize("kernel", KERNELS)
@given(data=st.data(), dtype=st.sampled_from(["float32", "float64"]))
def test_attention_equals_pytorchs_own(kernel, data, dtype):
    arguments = data.draw(cases(ATTENTION, dtype)).arguments
    theirs = builtin_attention(kernel, **arguments)
    ours = attention.scaled_dot_product_attention(**arguments)
    exact = exact_steps("scaled_dot_product_attention", arguments)[
        "context"
    ]
    path = f"scaled_dot_product_attention[0]/context ({kernel})"
    comparison = within(path, ours, theirs, 2 * exact.error)
    expect_holds(
        f"NumPy and F.scaled_dot_product_attention, {kernel}", comparison
    )


def test_a_kernel_that_did_not_run_is_noticed(monkeypatch):
    monkeypatch.setitem(KERNELS, "math", SDPBackend.FLASH_ATTENTION)
    arrays = [np.ones((1, 1, n, 2)) for n in (2, 3, 3)]
    with pytest.raises(AssertionError, match="the math kernel, got fused"):
        builtin_attention("math", *arrays, np.ones((2, 3), bool))


@given(data=st.data())
def test_softmax_equals_pytorchs_own(data):
    scores = data.draw(cases(TWINS["softmax"], "float64")).arguments[
        "scores"
    ]
    theirs = torch.softmax(torch.from_numpy(scores), dim=-1).numpy()
    exact = exact_steps("softmax", {"scores": scores})["weights"]
    ours = attention.softmax(scores)
    comparison = within("softmax[0]/weights", ours, theirs, 2 * exact.error)
    expect_holds("NumPy and torch.softmax, float64", comparison)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_query_that_may_attend_to_nothing_gets_zeros(dtype):
    generator = np.random.default_rng(0)
    query, key, value = generator.normal(size=(3, 4, 5)).astype(dtype)
    mask = np.array([[True] * 4, [False] * 4, [True] * 4, [False] * 4])
    scores = attention.attention_scores(query, key)
    weights = attention.masked_softmax(scores, mask)
    context = attention.scaled_dot_product_attention(
        query, key, value, mask
    )
    assert (weights.any(axis=-1) == mask.any(axis=-1)).all()
    assert (context.any(axis=-1) == mask.any(axis=-1)).all()


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_what_a_masked_score_holds_does_not_matter(bad):
    scores = np.array([[0.0, bad, 1.0]])
    mask = np.array([[True, False, True]])
    expected = attention.masked_softmax(np.where(mask, scores, 0), mask)
    np.testing.assert_array_equal(
        attention.masked_softmax(scores, mask), expected
    )
    theirs = torch_attention.masked_softmax(
        torch.from_numpy(scores), torch.from_numpy(mask)
    )
    assert theirs.isfinite().all()


def test_a_nan_in_a_masked_value_spreads():
    value = np.array([[1.0], [nan]])
    arrays = (np.zeros((1, 3)), np.zeros((2, 3)), value)
    mask = np.array([[True, False]])
    tensors = [torch.from_numpy(array) for array in (*arrays, mask)]
    ours = attention.scaled_dot_product_attention(*arrays, mask)
    theirs = torch_attention.scaled_dot_product_attention(*tensors)
    assert np.isnan(ours).all()
    assert theirs.isnan().all()


def test_a_nan_goes_in_and_a_nan_comes_out():
    assert np.isnan(attention.softmax(np.array([0.0, nan]))).all()
    assert torch_attention.softmax(torch.tensor([0.0, nan])).isnan().all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_scores_overflow_nowhere(dtype):
    scores = np.array([[-1e38, 0.0, 1e38]], dtype=dtype)
    np.testing.assert_array_equal(attention.softmax(scores), [[0, 0, 1]])
    low = np.array([[-3e38, -3e38, -3e38]], dtype=dtype)
    thirds = np.full((1, 3), 1 / 3, dtype=dtype)
    error = exact_steps("softmax", {"scores": low})["weights"].error
    weights = attention.softmax(low)
    assert within("weights", weights, thirds, 2 * error).holds


@given(data=st.data(), temperature=st.floats(0.05, 20))
@settings(max_examples=10)
def test_temperature_divides_the_scores(data, temperature):
    case = data.draw(cases(TWINS["softmax_with_temperature"], "float64"))
    scores = case.arguments["scores"]
    ours = attention.softmax_with_temperature(scores, temperature)
    powers = np.exp((scores - scores.max(-1, keepdims=True)) / temperature)
    arguments = {"scores": scores, "temperature": temperature}
    exact = exact_steps("softmax_with_temperature", arguments)["weights"]
    expected = powers / powers.sum(-1, keepdims=True)
    path = "softmax_with_temperature[0]/weights"
    comparison = within(path, ours, expected, 2 * exact.error)
    expect_holds("NumPy and the definition, float64", comparison)


def test_no_later_token_changes_an_earlier_output():
    generator = np.random.default_rng(1)
    query, key, value = generator.normal(size=(3, 6, 4))
    mask = causal_mask(6, 6)
    before = attention.scaled_dot_product_attention(query, key, value, mask)
    key[4:], value[4:] = generator.normal(size=(2, 2, 4))
    after = attention.scaled_dot_product_attention(query, key, value, mask)
    np.testing.assert_array_equal(before[:4], after[:4])
    assert (before[4:] != after[4:]).all()
