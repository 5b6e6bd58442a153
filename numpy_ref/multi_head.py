"""Multi-head attention: each head has a look of its own at the tokens.

1. `stacked_heads`: causal attention several times, side by side, and a
   layer to mix what they found.
2. `multi_head_attention_with_dropout`: the same numbers from one wide
   layer that is split into heads.
3. `multi_head_attention`: that, at evaluation and with any mask.

Axes: `d_model` counts the features of a token, `d_head` those of a head;
`head` counts heads.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from .attention import (
    attention_scores,
    attention_with_dropout,
    attention_with_dropout_backward,
    masked_softmax,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from .checked import check_divides, check_equal, checked
from .layers import Linear, linear, linear_backward
from .self_attention import (
    SelfAttention,
    causal_attention,
    causal_attention_backward,
)


@checked
@dataclass(frozen=True, eq=False)
class StackedHeads:
    """Stacked heads, and the layer that mixes what they found."""

    heads: tuple[SelfAttention, ...]
    output: Linear


@checked
def stacked_heads(
    x: Float[Array, "*batch position d_model"],
    params: StackedHeads,
    dropout_mask: Bool[Array, "*batch head position position"],
    rate: float,
) -> Float[Array, "*batch position d_model"]:
    r"""Stacked heads: causal attention several times, side by side.

    $Y = \operatorname{concat}(O_1, \dots, O_h) W_O^\top + b_O$
    (Vaswani et al. 2017, section 3.2.2)

    Raises ValueError unless `dropout_mask` is for as many heads.
    """
    check_equal(
        "heads of dropout_mask", dropout_mask.shape[-3], len(params.heads)
    )
    contexts = [
        causal_attention(x, head, dropout_mask[..., index, :, :], rate)
        for index, head in enumerate(params.heads)
    ]
    merged = np.concatenate(contexts, axis=-1)
    y = linear(merged, params.output)
    return y


@checked
def stacked_heads_backward(
    d_y: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: StackedHeads,
    dropout_mask: Bool[Array, "*batch head position position"],
    rate: float,
) -> tuple[Float[Array, "*batch position d_model"], StackedHeads]:
    """Gradient of stacked heads: each gets its columns; a token, a sum."""
    contexts = [
        causal_attention(x, head, dropout_mask[..., index, :, :], rate)
        for index, head in enumerate(params.heads)
    ]
    merged = np.concatenate(contexts, axis=-1)
    d_merged, d_params_output = linear_backward(d_y, merged, params.output)
    d_contexts = np.split(d_merged, len(params.heads), axis=-1)
    parts = [
        causal_attention_backward(
            d_contexts[index],
            x,
            head,
            dropout_mask[..., index, :, :],
            rate,
        )
        for index, head in enumerate(params.heads)
    ]
    d_x = sum(d_x_of_head for d_x_of_head, _ in parts)
    d_heads = tuple(d_head for _, d_head in parts)
    d_params = StackedHeads(d_heads, d_params_output)
    return d_x, d_params


@checked
def split_heads(
    x: Float[Array, "*batch position d_model"],
    heads: int,
) -> Float[Array, "*batch head position d_head"]:
    """Split into heads: features cut into equal parts, heads a new axis.

    Raises ValueError when `heads` does not divide d_model.
    """
    *batch, positions, d_model = x.shape
    check_divides("heads", heads, "d_model", d_model)
    separate = x.reshape(*batch, positions, heads, d_model // heads)
    split = separate.swapaxes(-3, -2)
    return split


@checked
def split_heads_backward(
    d_split: Float[Array, "*batch head position d_head"],
    x: Float[Array, "*batch position d_model"],
    heads: int,
) -> Float[Array, "*batch position d_model"]:
    """Gradient of the split: what was only moved, is moved back."""
    check_divides("heads", heads, "d_model", x.shape[-1])
    d_x = merge_heads(d_split)
    return d_x


@checked
def merge_heads(
    x: Float[Array, "*batch head position d_head"],
) -> Float[Array, "*batch position d_model"]:
    """Merge heads: side by side at each position; undoes `split_heads`."""
    separate = x.swapaxes(-3, -2)
    *batch, positions, heads, d_head = separate.shape
    merged = separate.reshape(*batch, positions, heads * d_head)
    return merged


@checked
def merge_heads_backward(
    d_merged: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch head position d_head"],
) -> Float[Array, "*batch head position d_head"]:
    """Gradient of the merge: moved back, too, into heads."""
    d_x = split_heads(d_merged, heads=x.shape[-3])
    return d_x


@checked
@dataclass(frozen=True, eq=False)
class MultiHeadAttention:
    """Multi-head attention: four linear layers, from d_model to d_model."""

    query: Linear
    key: Linear
    value: Linear
    output: Linear


class Heads(NamedTuple):
    """Attention heads in the open: what each looked with, at, and saw."""

    query: Float[Array, "*batch head position d_head"]
    key: Float[Array, "*batch head position d_head"]
    value: Float[Array, "*batch head position d_head"]
    weights: Float[Array, "*batch head position key"]
    context: Float[Array, "*batch head position d_head"]


@checked
def open_heads(
    x: Float[Array, "*batch position d_model"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
) -> Heads:
    """Multi-head attention with its parts in the open, before the output.

    `params.output` mixes the heads' contexts afterwards.
    """
    query = split_heads(linear(x, params.query), heads)
    key = split_heads(linear(x, params.key), heads)
    value = split_heads(linear(x, params.value), heads)
    head_mask = mask[..., None, :, :]  # the same for all heads
    weights = masked_softmax(attention_scores(query, key), head_mask)
    context = weights @ value
    attention = Heads(query, key, value, weights, context)
    return attention


@checked
def multi_head_attention_with_dropout(
    x: Float[Array, "*batch position d_model"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #position"],
    dropout_mask: Bool[Array, "*#batch #head #position #position"],
    rate: float,
    heads: int,
) -> Float[Array, "*batch position d_model"]:
    """Multi-head attention with dropout: one wide layer, split into heads.

    With the weights of `stacked_heads` laid one below the other it gives
    the same numbers. `mask` is one for all heads.
    """
    query = split_heads(linear(x, params.query), heads)
    key = split_heads(linear(x, params.key), heads)
    value = split_heads(linear(x, params.value), heads)
    head_mask = mask[..., None, :, :]
    context = attention_with_dropout(
        query, key, value, head_mask, dropout_mask, rate
    )
    merged = merge_heads(context)
    y = linear(merged, params.output)
    return y


@checked
def multi_head_attention_with_dropout_backward(
    d_y: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #position"],
    dropout_mask: Bool[Array, "*#batch #head #position #position"],
    rate: float,
    heads: int,
) -> tuple[Float[Array, "*batch position d_model"], MultiHeadAttention]:
    """Gradient of multi-head attention with dropout, step by step."""
    query = split_heads(linear(x, params.query), heads)
    key = split_heads(linear(x, params.key), heads)
    value = split_heads(linear(x, params.value), heads)
    head_mask = mask[..., None, :, :]
    context = attention_with_dropout(
        query, key, value, head_mask, dropout_mask, rate
    )
    merged = merge_heads(context)
    d_merged, d_params_output = linear_backward(d_y, merged, params.output)
    d_context = merge_heads_backward(d_merged, context)
    d_query, d_key, d_value = attention_with_dropout_backward(
        d_context, query, key, value, head_mask, dropout_mask, rate
    )
    d_x, d_params_projections = _through_projections(
        d_query, d_key, d_value, x, params
    )
    d_params = MultiHeadAttention(*d_params_projections, d_params_output)
    return d_x, d_params


@checked
def multi_head_attention(
    x: Float[Array, "*batch position d_model"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
) -> Float[Array, "*batch position d_model"]:
    r"""Multi-head attention: in several subspaces at once.

    $O = \operatorname{attention}(Q, K, V, M)$ with $Q$, $K$, $V$ split
    into heads, then $Y = \operatorname{merge}(O) W_O^\top + b_O$
    (Vaswani et al. 2017, section 3.2.2)
    """
    query = split_heads(linear(x, params.query), heads)
    key = split_heads(linear(x, params.key), heads)
    value = split_heads(linear(x, params.value), heads)
    head_mask = mask[..., None, :, :]
    context = scaled_dot_product_attention(query, key, value, head_mask)
    merged = merge_heads(context)
    y = linear(merged, params.output)
    return y


@checked
def multi_head_attention_backward(
    d_y: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
) -> tuple[Float[Array, "*batch position d_model"], MultiHeadAttention]:
    """Gradient of multi-head attention, without dropout."""
    query = split_heads(linear(x, params.query), heads)
    key = split_heads(linear(x, params.key), heads)
    value = split_heads(linear(x, params.value), heads)
    head_mask = mask[..., None, :, :]
    context = scaled_dot_product_attention(query, key, value, head_mask)
    merged = merge_heads(context)
    d_merged, d_params_output = linear_backward(d_y, merged, params.output)
    d_context = merge_heads_backward(d_merged, context)
    d_query, d_key, d_value = scaled_dot_product_attention_backward(
        d_context, query, key, value, head_mask
    )
    d_x, d_params_projections = _through_projections(
        d_query, d_key, d_value, x, params
    )
    d_params = MultiHeadAttention(*d_params_projections, d_params_output)
    return d_x, d_params


def _through_projections(d_query, d_key, d_value, x, params):
    """Gradient of the projections: a token is query, key and value."""
    as_query, d_params_query = linear_backward(
        merge_heads(d_query), x, params.query
    )
    as_key, d_params_key = linear_backward(
        merge_heads(d_key), x, params.key
    )
    as_value, d_params_value = linear_backward(
        merge_heads(d_value), x, params.value
    )
    d_x = as_query + as_key + as_value
    return d_x, (d_params_query, d_params_key, d_params_value)
