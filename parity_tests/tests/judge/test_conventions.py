"""Conventions are detected by which input moves which output."""

from math import inf

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from numpy_ref.attention import scaled_dot_product_attention
from numpy_ref.masks import causal_mask
from parity_tests.judge.attention.calling import (
    HEADS_JOINED,
    ONE_QUERY,
    TOKENS_FIRST,
    TOKENS_LAST,
)
from parity_tests.judge.attention.conventions import NOT_TESTED, Declared
from parity_tests.judge.attention.function import AttentionFunction
from parity_tests.judge.files.judging import hosted, judge
from parity_tests.judge.subject.cases import MASKS
from parity_tests.judge.verdict.protocol import NotJudged

pytestmark = pytest.mark.slow  # each tries a function in many ways


ALL = np.ones((1, 1), bool)


def subject_of(function, **declared) -> AttentionFunction:
    return AttentionFunction(*hosted(function, "it"), Declared(**declared))


def conventions(function, **declared):
    return subject_of(function, **declared).conventions


def inverted(query, key, value, attn_mask):
    """True is masked, as in nn.MultiheadAttention."""
    return scaled_dot_product_attention(query, key, value, ~attn_mask)


def adding(q, k, v, mask=None):
    """Nothing but the sum says what the numbers of the mask mean."""
    scores = q @ k.swapaxes(-2, -1) / q.shape[-1] ** 0.5
    if mask is not None:
        if mask.dtype == bool:
            raise TypeError("a float, please")
        scores = scores + mask
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True) @ v


# --- masks ---------------------------------------------------------------


def test_the_meaning_of_a_mask():
    reference = conventions(scaled_dot_product_attention)
    assert reference.mask == "True may attend"
    turned = conventions(inverted)
    assert turned.mask == "True is masked"
    assert turned.limits.masks == reference.limits.masks == MASKS
    assert conventions(adding).mask.startswith("added; ones and zeros")
    assert conventions(lambda q, k, v: adding(q, k, v)).mask == "none"


def test_a_declared_mask_is_asked_as_it_is_declared():
    assert conventions(inverted, mask="True is masked").mask == (
        "True is masked"
    )
    against = subject_of(inverted, mask="True may attend")
    assert against.conventions.mask.endswith("as it seems to be meant")
    assert against.mask == "attn_mask"


def test_a_stated_meaning_goes_before_what_a_trial_shows():
    def attention(query, key, value, mask):
        return inverted(query, key, value, mask)

    assert conventions(attention).mask == "True is masked"
    attention.__doc__ = "mask: True where a query may attend."
    assert conventions(attention).mask == (
        "True may attend, as it seems to be meant"
    )


def test_a_mask_that_is_not_understood_is_named():
    def attention(query, key, value, keep=None):
        return scaled_dot_product_attention(query, key, value, ALL)

    subject = subject_of(attention)
    assert subject.mask is None
    assert subject.not_asked()["its mask"].startswith("keep was")

    def deaf(query, key, value, mask=None):
        return scaled_dot_product_attention(query, key, value, ALL)

    assert subject_of(deaf).mask == "mask"


def masked_by(visible_from):
    """An attention whose mask is turned into ours by a function."""

    def attention(query, key, value, mask=None):
        visible = ALL if mask is None else visible_from(mask)
        return scaled_dot_product_attention(query, key, value, visible)

    return attention


@pytest.mark.parametrize(
    ("visible_from", "axes"),
    [
        (lambda m: m[:, None, :, :][:, [0], :, :], "text, query, key"),
        (lambda m: m[:, None, None, :], "text, key"),
    ],
)
def test_the_axes_of_a_mask_are_found(visible_from, axes):
    def checked(mask):
        if mask.ndim != len(axes.split(", ")) or mask.dtype != bool:
            raise ValueError("other axes")
        return visible_from(mask)

    detected = conventions(masked_by(checked))
    assert detected.mask == f"True may attend, of ({axes})"
    assert detected.limits.mask_axes == axes
    is_of_keys = axes == "text, key"
    assert (detected.limits.masks == ("open", "padding")) is is_of_keys


def test_axes_that_are_stated_are_tried_first():
    def attention(query, key, value, mask=None):
        """mask (batch, 1, query, key): True may be attended to."""
        visible = ALL if mask is None else mask
        return scaled_dot_product_attention(query, key, value, visible)

    assert conventions(attention).limits.mask_axes == "text, 1, query, key"


def test_a_mask_of_one_query_and_key_axis_is_the_same_for_all_texts():
    def shared(mask):
        if mask.ndim != 2:
            raise ValueError("two axes")
        return mask

    assert conventions(masked_by(shared)).limits.mask_axes == "query, key"


def test_valid_lengths_are_a_mask():
    def attention(query, key, value, valid_lens=None):
        visible = ALL
        if valid_lens is not None:
            visible = np.arange(key.shape[-2]) < valid_lens[:, None]
            batch = [1] * (query.ndim - 2)
            visible = visible.reshape(len(visible), *batch, -1)
        return scaled_dot_product_attention(query, key, value, visible)

    detected = conventions(attention)
    assert detected.limits.mask_axes == "lengths of texts"
    assert detected.limits.masks == ("open", "padding")
    assert detected.limits.batch_axes == (1, 2)


def of_texts(mask, query):
    """A mask of (text, key), with the axes of the scores."""
    return mask.reshape(len(mask), *[1] * (query.ndim - 2), -1)


def test_two_masks_are_asked_in_the_order_of_the_arguments():
    def attention(q, k, v, key_padding_mask=None, attn_mask=None):
        visible = ALL if attn_mask is None else attn_mask
        if key_padding_mask is not None:
            visible = visible & of_texts(key_padding_mask, q)
        return scaled_dot_product_attention(q, k, v, visible)

    subject = subject_of(attention)
    assert subject.understood == ["attn_mask", "key_padding_mask"]
    assert subject.two_masks == ["key_padding_mask", "attn_mask"]
    assert subject.axes_of_both == (1, 2)


def test_of_three_masks_the_third_is_said_not_to_be_asked():
    def attention(q, k, v, mask=None, attn_mask=None, pad_mask=None):
        visible = ALL
        for each in (mask, attn_mask):
            visible = visible if each is None else visible & each
        if pad_mask is not None:
            visible = visible & of_texts(pad_mask, q)
        return scaled_dot_product_attention(q, k, v, visible)

    subject = subject_of(attention)
    assert subject.two_masks == ["mask", "attn_mask"]
    assert "the mask pad_mask" in subject.not_asked()


def test_a_second_mask_that_is_not_understood_is_no_second_mask():
    def attention(query, key, value, mask=None, keep=None):
        visible = ALL if mask is None else mask
        return scaled_dot_product_attention(query, key, value, visible)

    subject = subject_of(attention)
    assert subject.two_masks == []
    assert subject.not_asked()["its mask"].startswith("keep was")


def test_what_a_mask_of_numbers_does():
    def masks_only(q, k, v, mask=None):
        if mask is None:
            mask = ALL
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
    attention.__doc__ = "A fully masked row gets zeros."
    stated = conventions(attention)
    assert stated.fully_masked_row == "zeros"
    assert "fully masked" in stated.limits.masks


# --- causal --------------------------------------------------------------


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
    attention.__doc__ = "The queries are the last ones."
    assert conventions(attention).alignment == "the last queries"
    declared = conventions(attention, alignment="the first queries")
    assert declared.alignment == "the first queries"


def always_causal(q, k, v):
    mask = causal_mask(q.shape[-2], k.shape[-2])
    return scaled_dot_product_attention(q, k, v, mask)


def test_attention_that_is_always_causal():
    detected = conventions(always_causal)
    assert detected.causal == "always"
    assert detected.limits.masks == ("causal",)
    assert detected.limits.square
    assert detected.limits.batch_axes == (0, 1, 2)


def test_what_is_called_causal_is_asked_to_be_so():
    def causal_attention(q, k, v):
        return scaled_dot_product_attention(q, k, v, ALL)

    host, thing = hosted(causal_attention, None)
    detected = AttentionFunction(host, thing).conventions
    assert detected.causal == "always"
    assert conventions(causal_attention).causal == "none"


def test_causal_unless_it_is_told_otherwise():
    def attention(q, k, v, causal=True):
        mask = causal_mask(q.shape[-2], k.shape[-2])
        visible = mask if causal else ALL
        return scaled_dot_product_attention(q, k, v, visible)

    subject = subject_of(attention)
    assert subject.conventions.causal == "the argument causal"
    assert not subject.limits.square
    arrays = np.random.default_rng(0).normal(size=(3, 4, 5))
    for called, expected in (
        (subject(*arrays, None), attention(*arrays, causal=False)),
        (subject.causally(*arrays), attention(*arrays)),
    ):
        np.testing.assert_array_equal(called, expected)


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
    assert detected.gradients == "by autograd"


# --- how it is called ----------------------------------------------------


def test_shapes_that_it_accepts():
    def attention(query, key, value):
        if query.ndim != 4 or query.shape != value.shape:
            raise ValueError("four equal axes")
        return scaled_dot_product_attention(query, key, value, ALL)

    limits = conventions(attention).limits
    assert limits.batch_axes == (2,)
    assert limits.square
    assert limits.one_width


def test_tokens_may_come_before_heads():
    def attention(q, k, v):
        q, k, v = (each.swapaxes(1, 2) for each in (q, k, v))
        return scaled_dot_product_attention(q, k, v, ALL).swapaxes(1, 2)

    detected = conventions(attention)
    assert detected.layout == TOKENS_FIRST
    assert detected.plain()["layout"] == TOKENS_FIRST
    usual = conventions(lambda q, k, v: always_causal(q, k, v))
    assert usual.layout == TOKENS_LAST
    assert "layout" not in usual.plain()


def split(x, heads):
    parts = x.reshape(*x.shape[:-1], heads, -1)
    return parts.swapaxes(1, 2)


def test_features_of_all_heads_may_be_joined():
    def attention(q, k, v, num_heads):
        q, k, v = (split(each, num_heads) for each in (q, k, v))
        context = scaled_dot_product_attention(q, k, v, ALL)
        return context.swapaxes(1, 2).reshape(*q.shape[::2], -1)

    assert conventions(attention).layout == HEADS_JOINED


def test_queries_may_be_asked_one_by_one():
    def attention(query, key, value):
        scores = np.einsum("...d,...kd->...k", query, key)
        scores = scores / query.shape[-1] ** 0.5
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        weights = powers / powers.sum(-1, keepdims=True)
        return np.einsum("...k,...kv->...v", weights, value)

    def strict(query, key, value):
        if query.ndim != key.ndim - 1:
            raise ValueError("one query")
        return attention(query, key, value)

    detected = conventions(strict)
    assert detected.layout == ONE_QUERY
    assert detected.limits.batch_axes == (0, 1, 2)


@pytest.mark.parametrize(
    "result",
    [
        lambda context: {"weights": None, "context": context},
        lambda context: (context[..., :1], context),
        lambda context: [[context]],
    ],
    ids=["dict", "pair", "nested"],
)
def test_the_output_is_found_in_what_is_returned(result):
    def attention(query, key, value):
        context = scaled_dot_product_attention(query, key, value, ALL)
        return result(context)

    subject = subject_of(attention)
    arrays = np.random.default_rng(0).normal(size=(3, 4, 5))
    np.testing.assert_array_equal(
        subject(*arrays, None), scaled_dot_product_attention(*arrays, ALL)
    )


def test_which_arrays_a_function_takes():
    def annotated(q: torch.Tensor, k, v):
        return q @ k.mT / q.shape[-1] ** 0.5 @ v

    assert conventions(annotated).arrays == "torch"
    assert conventions(inverted, arrays="numpy").arrays == "numpy"
    with pytest.raises(NotJudged):
        conventions(always_causal, arrays="torch")


def test_sixteen_bits_are_asked_for_where_nothing_else_is_taken():
    def attention(q, k, v):
        if q.dtype != torch.bfloat16:
            raise TypeError("bfloat16 only")
        return F.scaled_dot_product_attention(q, k, v)

    detected = conventions(attention)
    assert detected.limits.narrow == "bfloat16"
    assert detected.float32 == "not taken; asked in bfloat16"
    assert detected.limits.dtypes == ("float32",)


def in_columns(axis):
    """Attention of tokens that are columns; softmax along this axis."""

    def attention(Q, K, V):
        scores = K.swapaxes(-2, -1) @ Q / np.sqrt(Q.shape[-2])
        scores = np.exp(scores - scores.max(axis, keepdims=True))
        return V @ (scores / scores.sum(axis, keepdims=True))

    return attention


def test_tokens_may_be_columns():
    detected = conventions(in_columns(axis=-2))
    assert detected.layout == "batch axes, features, tokens"
    limits = detected.limits
    assert (limits.square, limits.one_width) == (False, False)
    report = judge(in_columns(axis=-2), examples=5)
    assert report.holds, report
    report = judge(in_columns(axis=-1), examples=5)
    assert report.cause == "the softmax runs over the queries, not the keys"


def of_one_length(q, k, v):
    """q, k, v: (batch, heads, tokens, features)"""
    tokens = q.shape[-2]
    k, v = k[..., :tokens, :], v[..., :tokens, :]
    return scaled_dot_product_attention(q, k, v, ALL)


def test_what_says_that_it_takes_one_length_is_asked_with_that():
    assert conventions(of_one_length).limits.square
    report = judge(of_one_length, examples=5)
    assert report.holds, report

    def of_any_length(q, k, v):
        """q: (batch, heads, queries, features)"""
        return of_one_length(q, k, v)

    report = judge(of_any_length, examples=5)
    assert not report.holds, report


def test_what_returns_float32_is_asked_in_it_though_it_is_wrong():
    def too_steep(q, k, v):
        context = scaled_dot_product_attention(4 * q, k, v, ALL)
        return context.astype(np.float32)

    assert conventions(too_steep).limits.dtypes == ("float32",)


def test_float32_inside_is_told_and_float64_not_asked():
    def attention(q, k, v):
        q32, k32, v32 = (each.astype(np.float32) for each in (q, k, v))
        context = scaled_dot_product_attention(q32, k32, v32, ALL)
        return context.astype(q.dtype)

    detected = conventions(attention)
    assert detected.float64.startswith("in float32 also for float64")
    assert detected.limits.dtypes == ("float32",)


def unscaled(q, k, v, scale=None):
    return scaled_dot_product_attention(q * q.shape[-1] ** 0.5, k, v, ALL)


def by_a_factor(q, k, v, scale=None):
    return unscaled(q if scale is None else q * scale, k, v)


def by_a_divisor(q, k, v, scale=None):
    return unscaled(q if scale is None else q / scale, k, v)


def scaled_anyway(q, k, v, scale=None):
    return by_a_factor(q, k, v, scale or q.shape[-1] ** -0.5)


@pytest.mark.parametrize(
    ("function", "scale", "failing"),
    [
        (by_a_factor, "none unless it is passed; 1/√d_head is", False),
        (by_a_divisor, "none unless it is passed; √d_head is", False),
        (scaled_anyway, NOT_TESTED, False),
        (unscaled, NOT_TESTED, True),
    ],
)
def test_a_scale_that_only_its_caller_knows_is_passed(
    function, scale, failing
):
    assert conventions(function).scale == scale
    report = judge(function, "scaled_dot_product_attention")
    assert bool(report.failed) == failing
    assert report.cause == ("the scale is missing" if failing else None)


def test_fewer_key_heads_are_taken_or_not():
    def attention(q, k, v):
        shared = q.shape[1] // k.shape[1] if q.ndim == 4 else 1
        k, v = (
            np.repeat(each, shared, -3) if shared > 1 else each
            for each in (k, v)
        )
        return scaled_dot_product_attention(q, k, v, ALL)

    takes = subject_of(attention)
    assert takes.takes_fewer_key_heads
    assert "fewer key heads" not in takes.not_asked()
    subject = subject_of(lambda q, k, v: always_causal(q, k, v))
    assert not subject.takes_fewer_key_heads
    assert "fewer key heads" in subject.not_asked()


def test_why_there_are_no_gradients_is_told():
    @torch.no_grad()
    def attention(q, k, v):
        return F.scaled_dot_product_attention(q, k, v)

    subject = subject_of(attention)
    assert subject.not_asked()["gradients"].startswith("none: it computes")
    numpy = subject_of(lambda q, k, v: always_causal(q, k, v))
    assert numpy.not_asked()["gradients"] == "NumPy has none"


# --- what cannot be called -----------------------------------------------


@pytest.mark.parametrize(
    ("function", "trouble"),
    [
        (lambda q, k, v: 1 // 0, "raised ZeroDivisionError"),
        (lambda a, b: a, "expected a query, a key and a value, got"),
        (lambda q, k, v: None, "returned None, expected shape"),
        (lambda q, k, v: v[..., :1], "returned shape (7, 1), expected"),
    ],
)
def test_a_function_without_an_output_is_not_judged(function, trouble):
    with pytest.raises(NotJudged) as error:
        subject_of(function)
    assert trouble in str(error.value)
    assert "--as" in str(error.value)
