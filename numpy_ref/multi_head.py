"""From attention without weights to many heads, one idea at a time.

1. `simple_attention`: tokens look at each other, nothing is learned.
2. `matrix_attention`: learned queries, keys and values; the scale.
3. `self_attention`: the same, with linear layers.
4. `causal_attention`: no look into the future; dropout.
5. `stacked_heads`: several of them, side by side, and a layer to mix them.
6. `multi_head_attention_with_dropout`: the same numbers from one wide
   layer that is split into heads.
7. `multi_head_attention`: that, at evaluation and with any mask.

Axes: `d_model` counts the features of a token, `d_head` those of a head;
`head` counts heads.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from .attention import (
    attention_scores,
    attention_with_dropout,
    scaled_dot_product_attention,
    softmax,
)
from .checked import check_divides, check_equal, checked
from .layers import Linear, linear
from .masks import causal_mask


@checked
def simple_attention(
    x: Float[Array, "*batch position d_model"],
) -> Float[Array, "*batch position d_model"]:
    r"""Each token as a mean of all tokens, the similar ones counting more.

    $O = \operatorname{softmax}(X X^\top) X$
    """
    similarity = x @ x.swapaxes(-2, -1)
    weights = softmax(similarity)
    context = weights @ x
    return context


@checked
@dataclass(frozen=True, eq=False)
class MatrixAttention:
    """Three bare matrices."""

    query: Float[Array, "d_model d_head"]
    key: Float[Array, "d_model d_head"]
    value: Float[Array, "d_model d_head"]


@checked
def matrix_attention(
    x: Float[Array, "*batch position d_model"],
    params: MatrixAttention,
) -> Float[Array, "*batch position d_head"]:
    r"""What a token asks, what it answers to, and what it has to say.

    $Q = X W_Q$, $K = X W_K$, $V = X W_V$,
    $O = \operatorname{softmax}(Q K^\top / \sqrt{d_\text{head}}) V$
    """
    query = x @ params.query
    key = x @ params.key
    value = x @ params.value
    scores = attention_scores(query, key)
    weights = softmax(scores)
    context = weights @ value
    return context


@checked
@dataclass(frozen=True, eq=False)
class SelfAttention:
    """Three linear layers, from d_model to d_head."""

    query: Linear
    key: Linear
    value: Linear


@checked
def self_attention(
    x: Float[Array, "*batch position d_model"],
    params: SelfAttention,
) -> Float[Array, "*batch position d_head"]:
    r"""Linear layers in place of matrices: a bias each, weights transposed.

    $Q = X W_Q^\top + b_Q$, and so for $K$ and $V$
    """
    query = linear(x, params.query)
    key = linear(x, params.key)
    value = linear(x, params.value)
    scores = attention_scores(query, key)
    weights = softmax(scores)
    context = weights @ value
    return context


@checked
def causal_attention(
    x: Float[Array, "*batch position d_model"],
    params: SelfAttention,
    keep: Bool[Array, "*#batch #position #position"],
    rate: float,
) -> Float[Array, "*batch position d_head"]:
    """No token sees a later one; in training some weights are dropped."""
    query = linear(x, params.query)
    key = linear(x, params.key)
    value = linear(x, params.value)
    mask = causal_mask(x.shape[-2], x.shape[-2])
    context = attention_with_dropout(query, key, value, mask, keep, rate)
    return context


@checked
@dataclass(frozen=True, eq=False)
class StackedHeads:
    """Heads of their own, and the layer that mixes what they found."""

    heads: tuple[SelfAttention, ...]
    output: Linear


@checked
def stacked_heads(
    x: Float[Array, "*batch position d_model"],
    params: StackedHeads,
    keep: Bool[Array, "*batch head position position"],
    rate: float,
) -> Float[Array, "*batch position d_model"]:
    r"""Several heads, one beside the other.

    $Y = \operatorname{concat}(O_1, \dots, O_h) W_O^\top + b_O$
    (Vaswani et al. 2017, section 3.2.2)

    Raises ValueError unless `keep` is for as many heads.
    """
    check_equal("heads of keep", keep.shape[-3], len(params.heads))
    contexts = [
        causal_attention(x, head, keep[..., number, :, :], rate)
        for number, head in enumerate(params.heads)
    ]
    merged = np.concatenate(contexts, axis=-1)
    y = linear(merged, params.output)
    return y


@checked
def split_heads(
    x: Float[Array, "*batch position d_model"],
    heads: int,
) -> Float[Array, "*batch head position d_head"]:
    """The features cut into equal heads; heads become an axis like batch.

    Raises ValueError when `heads` does not divide d_model.
    """
    *batch, positions, d_model = x.shape
    check_divides("heads", heads, "d_model", d_model)
    separate = x.reshape(*batch, positions, heads, d_model // heads)
    split = separate.swapaxes(-3, -2)
    return split


@checked
def merge_heads(
    x: Float[Array, "*batch head position d_head"],
) -> Float[Array, "*batch position d_model"]:
    """The heads of a position side by side again: undoes `split_heads`."""
    separate = x.swapaxes(-3, -2)
    *batch, positions, heads, d_head = separate.shape
    merged = separate.reshape(*batch, positions, heads * d_head)
    return merged


@checked
@dataclass(frozen=True, eq=False)
class MultiHeadAttention:
    """Four linear layers, from d_model to d_model."""

    query: Linear
    key: Linear
    value: Linear
    output: Linear


@checked
def multi_head_attention_with_dropout(
    x: Float[Array, "*batch position d_model"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #position"],
    keep: Bool[Array, "*#batch #head #position #position"],
    rate: float,
    heads: int,
) -> Float[Array, "*batch position d_model"]:
    """One wide layer does the work of all heads, then is split into them.

    With the weights of `stacked_heads` laid one below the other it gives
    the same numbers. `mask` is one for all heads.
    """
    query = split_heads(linear(x, params.query), heads)
    key = split_heads(linear(x, params.key), heads)
    value = split_heads(linear(x, params.value), heads)
    head_mask = mask[..., None, :, :]
    context = attention_with_dropout(
        query, key, value, head_mask, keep, rate
    )
    merged = merge_heads(context)
    y = linear(merged, params.output)
    return y


@checked
def multi_head_attention(
    x: Float[Array, "*batch position d_model"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
) -> Float[Array, "*batch position d_model"]:
    r"""Attention in several subspaces at once.

    $Y = \operatorname{merge}(\operatorname{attention}(Q, K, V, M)) W_O^\top
    + b_O$, with $Q$, $K$, $V$ split into heads
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
