"""Self-attention, one idea at a time.

1. `simple_attention`: tokens look at each other, nothing is learned.
2. `matrix_attention`: learned queries, keys and values; the scale.
3. `self_attention`: the same, with linear layers.
4. `causal_attention`: no look into the future; dropout.

From there `multi_head` goes on. Axes: `d_model` counts the features of a
token, `d_head` those of a query, a key or a value.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from numpy import ndarray as Array

from .attention import (
    attention_scores,
    attention_scores_backward,
    attention_with_dropout,
    attention_with_dropout_backward,
    softmax,
    softmax_backward,
)
from .checked import checked
from .layers import Linear, linear, linear_backward
from .masks import causal_mask


@checked
def simple_attention(
    x: Float[Array, "*batch position d_model"],
) -> Float[Array, "*batch position d_model"]:
    r"""Simple attention: a mean of all tokens, the similar counting more.

    $O = \operatorname{softmax}(X X^\top) X$
    """
    similarity = x @ x.swapaxes(-2, -1)
    weights = softmax(similarity)
    context = weights @ x
    return context


@checked
def simple_attention_backward(
    d_context: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
) -> Float[Array, "*batch position d_model"]:
    r"""Gradient in three parts: a token is query, key and value.

    $dX = A^\top dO + dS \, X + dS^\top X$
    """
    similarity = x @ x.swapaxes(-2, -1)
    weights = softmax(similarity)
    d_weights = d_context @ x.swapaxes(-2, -1)
    d_similarity = softmax_backward(d_weights, similarity)
    as_value = weights.swapaxes(-2, -1) @ d_context
    as_query = d_similarity @ x
    as_key = d_similarity.swapaxes(-2, -1) @ x
    d_x = as_value + as_query + as_key
    return d_x


@checked
@dataclass(frozen=True, eq=False)
class MatrixAttention:
    """Query, key and value weights, as three bare matrices."""

    query: Float[Array, "d_model d_head"]
    key: Float[Array, "d_model d_head"]
    value: Float[Array, "d_model d_head"]


@checked
def matrix_attention(
    x: Float[Array, "*batch position d_model"],
    params: MatrixAttention,
) -> Float[Array, "*batch position d_head"]:
    r"""Query, key, value: what a token asks, answers to, and has to say.

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
def matrix_attention_backward(
    d_context: Float[Array, "*batch position d_head"],
    x: Float[Array, "*batch position d_model"],
    params: MatrixAttention,
) -> tuple[Float[Array, "*batch position d_model"], MatrixAttention]:
    r"""Gradient: through attention as ever, then through three products.

    $dX = dQ \, W_Q^\top + dK \, W_K^\top + dV \, W_V^\top$,
    $dW_Q = \sum x^\top dq$, and so for $W_K$ and $W_V$
    """
    query = x @ params.query
    key = x @ params.key
    value = x @ params.value
    scores = attention_scores(query, key)
    weights = softmax(scores)
    d_value = weights.swapaxes(-2, -1) @ d_context
    d_weights = d_context @ value.swapaxes(-2, -1)
    d_scores = softmax_backward(d_weights, scores)
    d_query, d_key = attention_scores_backward(d_scores, query, key)
    as_query = d_query @ params.query.T
    as_key = d_key @ params.key.T
    as_value = d_value @ params.value.T
    d_x = as_query + as_key + as_value
    tokens = x.reshape(-1, x.shape[-1])
    d_params = MatrixAttention(
        query=tokens.T @ d_query.reshape(-1, d_query.shape[-1]),
        key=tokens.T @ d_key.reshape(-1, d_key.shape[-1]),
        value=tokens.T @ d_value.reshape(-1, d_value.shape[-1]),
    )
    return d_x, d_params


@checked
@dataclass(frozen=True, eq=False)
class SelfAttention:
    """Self-attention: three linear layers, from d_model to d_head."""

    query: Linear
    key: Linear
    value: Linear


@checked
def self_attention(
    x: Float[Array, "*batch position d_model"],
    params: SelfAttention,
) -> Float[Array, "*batch position d_head"]:
    r"""Self-attention by linear layers: a bias each, weights transposed.

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
def self_attention_backward(
    d_context: Float[Array, "*batch position d_head"],
    x: Float[Array, "*batch position d_model"],
    params: SelfAttention,
) -> tuple[Float[Array, "*batch position d_model"], SelfAttention]:
    """Gradient of self-attention, by linear layers."""
    query = linear(x, params.query)
    key = linear(x, params.key)
    value = linear(x, params.value)
    scores = attention_scores(query, key)
    weights = softmax(scores)
    d_value = weights.swapaxes(-2, -1) @ d_context
    d_weights = d_context @ value.swapaxes(-2, -1)
    d_scores = softmax_backward(d_weights, scores)
    d_query, d_key = attention_scores_backward(d_scores, query, key)
    as_query, d_params_query = linear_backward(d_query, x, params.query)
    as_key, d_params_key = linear_backward(d_key, x, params.key)
    as_value, d_params_value = linear_backward(d_value, x, params.value)
    d_x = as_query + as_key + as_value
    d_params = SelfAttention(d_params_query, d_params_key, d_params_value)
    return d_x, d_params


@checked
def causal_attention(
    x: Float[Array, "*batch position d_model"],
    params: SelfAttention,
    dropout_mask: Bool[Array, "*#batch #position #position"],
    rate: float,
) -> Float[Array, "*batch position d_head"]:
    """Causal attention: no token sees a later one; weights have dropout."""
    query = linear(x, params.query)
    key = linear(x, params.key)
    value = linear(x, params.value)
    mask = causal_mask(x.shape[-2], x.shape[-2])
    context = attention_with_dropout(
        query, key, value, mask, dropout_mask, rate
    )
    return context


@checked
def causal_attention_backward(
    d_context: Float[Array, "*batch position d_head"],
    x: Float[Array, "*batch position d_model"],
    params: SelfAttention,
    dropout_mask: Bool[Array, "*#batch #position #position"],
    rate: float,
) -> tuple[Float[Array, "*batch position d_model"], SelfAttention]:
    """Gradient: an earlier token's loss gives a later token none."""
    query = linear(x, params.query)
    key = linear(x, params.key)
    value = linear(x, params.value)
    mask = causal_mask(x.shape[-2], x.shape[-2])
    d_query, d_key, d_value = attention_with_dropout_backward(
        d_context, query, key, value, mask, dropout_mask, rate
    )
    as_query, d_params_query = linear_backward(d_query, x, params.query)
    as_key, d_params_key = linear_backward(d_key, x, params.key)
    as_value, d_params_value = linear_backward(d_value, x, params.value)
    d_x = as_query + as_key + as_value
    d_params = SelfAttention(d_params_query, d_params_key, d_params_value)
    return d_x, d_params
