"""Conventions are found out by what moves what, right or wrong."""

from math import inf

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from numpy_ref.attention import scaled_dot_product_attention
from numpy_ref.masks import causal_mask
from parity_tests.judge.subject.conventions import Told, subject_of
from parity_tests.judge.subject.protocol import Broken
from parity_tests.judge.subject.signature import Arguments, is_for_torch


def conventions(function, **told):
    return subject_of(function, "it", Told(**told)).conventions


def hiding(query, key, value, attn_mask):
    """True is hidden, as in nn.MultiheadAttention."""
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
    assert reference.mask == "always asked for"
    assert conventions(hiding).limits.masks == reference.limits.masks
    assert conventions(adding).mask == "added"


def test_a_mask_that_is_told_is_not_looked_for():
    assert conventions(adding, mask="added").mask == "added"


def test_what_a_mask_of_numbers_does():
    def hides_only(q, k, v, mask=None):
        if mask is None:
            mask = np.ones((1, 1), bool)
        seen = mask if mask.dtype == bool else mask != -inf
        return scaled_dot_product_attention(q, k, v, seen)

    def as_booleans(q, k, v, hidden):
        seen = hidden.astype(bool) ^ True
        return scaled_dot_product_attention(q, k, v, seen)

    found = [
        conventions(one).mask_of_numbers
        for one in (adding, hides_only, as_booleans)
    ]
    assert found == ["are added", "only hide, at -inf", "not taken"]
    reference = conventions(scaled_dot_product_attention)
    assert reference.mask_of_numbers == "not taken"

    def library(query, key, value, attn_mask=None):
        return F.scaled_dot_product_attention(query, key, value, attn_mask)

    assert conventions(library).mask_of_numbers == "are added"


@pytest.mark.parametrize("kind", ["last", "first"])
def test_which_tokens_fewer_queries_are(kind):
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

    found = conventions(attention)
    assert (found.causal, found.limits.masks) == ("always", ("causal",))
    assert found.limits.batch_axes == (0,)


def test_pytorchs_own():
    def attention(query, key, value, attn_mask=None, is_causal=False):
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, is_causal=is_causal
        )

    found = conventions(attention)
    assert found.arrays == "torch"
    assert found.mask == "True may attend"
    assert found.causal == "the argument is_causal"
    assert found.causal_and_mask == "raises RuntimeError"
    assert found.blocked_row == "zeros"
    assert found.nan_in_masked_value == "spreads"


@pytest.mark.parametrize(
    ("fill", "policy"),
    [(-1e9, "mean of all values"), (-inf, "NaN")],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_a_query_without_a_key_gets(fill, policy):
    def attention(query, key, value, mask):
        scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
        scores = np.where(mask, scores, fill)
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True) @ value

    found = conventions(attention)
    assert found.blocked_row == policy
    assert "blocked" not in found.limits.masks


def test_shapes_that_it_wants():
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
    found = Arguments.of(lambda V, K, Q, dropout_p: None)
    assert found.tensors == ("Q", "K", "V")
    assert found.fixed == {"dropout_p": 0.0}
    assert Arguments.of(lambda a, b, c, m: None).mask == "m"
    with pytest.raises(ValueError, match="none for other"):
        Arguments.of(lambda q, k, v, mask, other: None)


def test_which_arrays_a_function_wants():
    def annotated(q: torch.Tensor, k, v): ...

    assert is_for_torch(annotated)
    assert conventions(hiding, arrays="numpy").arrays == "numpy"


def test_a_function_without_an_answer_is_broken():
    with pytest.raises(Broken, match="ZeroDivisionError"):
        subject_of(lambda q, k, v: 1 // 0, "it")
