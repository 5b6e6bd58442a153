"""Conventions are detected by which input moves which output."""

from math import inf

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from numpy_ref.attention import scaled_dot_product_attention
from numpy_ref.masks import causal_mask
from parity_tests.judge.subject.conventions import Declared, subject_of
from parity_tests.judge.subject.protocol import Broken
from parity_tests.judge.subject.signature import Arguments, is_for_torch


def conventions(function, **declared):
    return subject_of(function, "it", Declared(**declared)).conventions


def inverted(query, key, value, attn_mask):
    """True is masked, as in nn.MultiheadAttention."""
    return scaled_dot_product_attention(query, key, value, ~attn_mask)


def adding(q, k, v, mask=None):
    """The mask is added to the scores; a boolean one is refused."""
    scores = q @ k.swapaxes(-2, -1) / q.shape[-1] ** 0.5
    if mask is not None:
        if mask.dtype == bool:
            raise TypeError("a float, please")
        scores = scores + mask
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True) @ v


def test_the_meaning_of_a_mask():
    reference = conventions(scaled_dot_product_attention)
    assert reference.mask == "required"
    assert conventions(inverted).limits.masks == reference.limits.masks
    assert conventions(adding).mask == "added"


def test_a_declared_mask_is_not_detected():
    assert conventions(adding, mask="added").mask == "added"


def test_what_a_mask_of_numbers_does():
    def masks_only(q, k, v, mask=None):
        if mask is None:
            mask = np.ones((1, 1), bool)
        visible = mask if mask.dtype == bool else mask != -inf
        return scaled_dot_product_attention(q, k, v, visible)

    def as_booleans(q, k, v, masked):
        visible = masked.astype(bool) ^ True
        return scaled_dot_product_attention(q, k, v, visible)

    effects = [
        conventions(function).mask_of_numbers
        for function in (adding, masks_only, as_booleans)
    ]
    assert effects == ["are added", "only mask, at -inf", "not taken"]
    reference = conventions(scaled_dot_product_attention)
    assert reference.mask_of_numbers == "not taken"

    def library(query, key, value, attn_mask=None):
        return F.scaled_dot_product_attention(query, key, value, attn_mask)

    assert conventions(library).mask_of_numbers == "are added"


@pytest.mark.parametrize("kind", ["last", "first"])
def test_with_which_keys_fewer_queries_are_aligned(kind):
    def attention(query, key, value, is_causal=False):
        queries, keys = query.shape[-2], key.shape[-2]
        past = max(0, keys - queries) if kind == "last" else 0
        mask = causal_mask(queries, keys, past)
        return scaled_dot_product_attention(
            query, key, value, mask if is_causal else mask | True
        )

    assert conventions(attention).alignment == f"the {kind} queries"


def test_attention_that_is_always_causal():
    def attention(q, k, v):
        tokens = len(q), len(k)
        return scaled_dot_product_attention(q, k, v, causal_mask(*tokens))

    detected = conventions(attention)
    assert detected.causal == "always"
    assert detected.limits.masks == ("causal",)
    assert detected.limits.batch_axes == (0,)


def test_the_conventions_of_pytorch():
    def attention(query, key, value, attn_mask=None, is_causal=False):
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, is_causal=is_causal
        )

    detected = conventions(attention)
    assert detected.arrays == "torch"
    assert detected.mask == "True may attend"
    assert detected.causal == "the argument is_causal"
    assert detected.causal_and_mask == "raises RuntimeError"
    assert detected.fully_masked_row == "zeros"
    assert detected.nan_in_masked_value == "spreads"


@pytest.mark.parametrize(
    ("fill", "policy"),
    [(-1e9, "the mean of all values"), (-inf, "NaN")],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_a_fully_masked_row_gets(fill, policy):
    def attention(query, key, value, mask):
        scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
        scores = np.where(mask, scores, fill)
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True) @ value

    detected = conventions(attention)
    assert detected.fully_masked_row == policy
    assert "fully masked" not in detected.limits.masks


def test_shapes_that_it_accepts():
    def attention(query, key, value):
        if query.ndim != 4 or query.shape != value.shape:
            raise ValueError("four equal axes")
        return scaled_dot_product_attention(
            query, key, value, np.ones((1, 1), bool)
        )

    limits = conventions(attention).limits
    assert limits.batch_axes == (2,)
    assert limits.square
    assert limits.one_width


def test_arguments_are_found_by_their_names_or_their_order():
    arguments = Arguments.of(lambda V, K, Q, dropout_p: None)
    assert arguments.tensors == ("Q", "K", "V")
    assert arguments.fixed == {"dropout_p": 0.0}
    assert Arguments.of(lambda a, b, c, m: None).mask == "m"
    with pytest.raises(ValueError, match="none for other"):
        Arguments.of(lambda q, k, v, mask, other: None)


def test_which_arrays_a_function_takes():
    def annotated(q: torch.Tensor, k, v): ...

    assert is_for_torch(annotated)
    assert conventions(inverted, arrays="numpy").arrays == "numpy"


def test_a_function_without_an_output_is_broken():
    with pytest.raises(Broken, match="ZeroDivisionError"):
        subject_of(lambda q, k, v: 1 // 0, "it")
