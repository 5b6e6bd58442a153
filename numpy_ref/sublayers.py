r"""Residual sublayers: what a layer computes is added to what came in.

$Y = X + \operatorname{dropout}(f(\operatorname{norm}(X)))$, with
attention or a feed-forward network for $f$ (He et al. 2016; the norm
first, as in Radford et al. 2019, section 2.3).

A gradient flows back through both branches of the sum: the residual
connection, unchanged, and the layer. So even the first of many layers
learns. Whether attention is causal, `mask` says.
"""

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Bool, Float
from numpy import ndarray as Array

from .checked import checked
from .layers import (
    FeedForward,
    LayerNorm,
    dropout,
    dropout_backward,
    feed_forward_tanh,
    feed_forward_tanh_backward,
    layer_norm,
    layer_norm_backward,
    linear,
)
from .multi_head import (
    Heads,
    MultiHeadAttention,
    merge_heads,
    multi_head_attention_backward,
    multi_head_attention_with_dropout,
    multi_head_attention_with_dropout_backward,
    open_heads,
)


@checked
@dataclass(frozen=True, eq=False)
class AttentionSublayer:
    """Attention sublayer: the norm, and the attention that follows it."""

    norm: LayerNorm
    attention: MultiHeadAttention


@checked
def attention_sublayer(
    x: Float[Array, "*batch position d_model"],
    params: AttentionSublayer,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], Heads]:
    r"""Attention with a residual connection; also its parts, in the open.

    $H = X + \operatorname{attention}(\operatorname{norm}(X))$
    """
    normed = layer_norm(x, params.norm, epsilon)
    attention = open_heads(normed, params.attention, mask, heads)
    merged = merge_heads(attention.context)
    attention_output = linear(merged, params.attention.output)
    after_attention = x + attention_output
    return after_attention, attention


@checked
def attention_sublayer_backward(
    d_after_attention: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: AttentionSublayer,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], AttentionSublayer]:
    r"""Gradient of the sublayer: past the attention, and through it.

    $dX = dH + \text{through norm and attention}$
    """
    normed = layer_norm(x, params.norm, epsilon)
    d_attention_output = d_after_attention
    d_normed, d_params_attention = multi_head_attention_backward(
        d_attention_output, normed, params.attention, mask, heads
    )
    d_x, d_params_norm = _past_and_through(
        d_after_attention, d_normed, x, params.norm, epsilon
    )
    d_params = AttentionSublayer(d_params_norm, d_params_attention)
    return d_x, d_params


@checked
@dataclass(frozen=True, eq=False)
class FeedForwardSublayer:
    """Feed-forward sublayer: the norm, and the network that follows it."""

    norm: LayerNorm
    feed_forward: FeedForward


@checked
def feed_forward_sublayer(
    x: Float[Array, "*batch d_model"],
    params: FeedForwardSublayer,
    epsilon: float,
) -> Float[Array, "*batch d_model"]:
    r"""A feed-forward network with a residual connection.

    $Y = X + \operatorname{feedforward}(\operatorname{norm}(X))$
    """
    mlp_input = layer_norm(x, params.norm, epsilon)
    mlp_output = feed_forward_tanh(mlp_input, params.feed_forward)
    y = x + mlp_output
    return y


@checked
def feed_forward_sublayer_backward(
    d_y: Float[Array, "*batch d_model"],
    x: Float[Array, "*batch d_model"],
    params: FeedForwardSublayer,
    epsilon: float,
) -> tuple[Float[Array, "*batch d_model"], FeedForwardSublayer]:
    """Gradient of the sublayer: past the network, and through it."""
    mlp_input = layer_norm(x, params.norm, epsilon)
    d_mlp_output = d_y
    d_mlp_input, d_params_feed_forward = feed_forward_tanh_backward(
        d_mlp_output, mlp_input, params.feed_forward
    )
    d_x, d_params_norm = _past_and_through(
        d_y, d_mlp_input, x, params.norm, epsilon
    )
    d_params = FeedForwardSublayer(d_params_norm, d_params_feed_forward)
    return d_x, d_params


class DropoutMasks(NamedTuple):
    """Dropout masks of one block, True for what is kept."""

    weights: Bool[Array, "*#batch #head #position #position"]
    attention_output: Bool[Array, "*#batch #position #d_model"]
    mlp_output: Bool[Array, "*#batch #position #d_model"]


@checked
def attention_sublayer_with_dropout(
    x: Float[Array, "*batch position d_model"],
    params: AttentionSublayer,
    mask: Bool[Array, "*#batch #position #position"],
    dropout_masks: DropoutMasks,
    rate: float,
    heads: int,
    epsilon: float,
) -> Float[Array, "*batch position d_model"]:
    r"""Attention sublayer while it learns: dropout in two places.

    $H = X + \operatorname{dropout}(\operatorname{attention}
    (\operatorname{norm}(X)))$, and inside of the attention
    $O = \operatorname{dropout}(A) V$
    """
    normed = layer_norm(x, params.norm, epsilon)
    attention_output = multi_head_attention_with_dropout(
        normed, params.attention, mask, dropout_masks.weights, rate, heads
    )
    dropped = dropout(
        attention_output, dropout_masks.attention_output, rate
    )
    after_attention = x + dropped
    return after_attention


@checked
def attention_sublayer_with_dropout_backward(
    d_after_attention: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: AttentionSublayer,
    mask: Bool[Array, "*#batch #position #position"],
    dropout_masks: DropoutMasks,
    rate: float,
    heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], AttentionSublayer]:
    """Gradient: past the attention, and through dropout, heads and norm."""
    normed = layer_norm(x, params.norm, epsilon)
    d_dropped = d_after_attention
    # The gradient of dropout needs no more of its input than the shape.
    d_attention_output = dropout_backward(
        d_dropped, x, dropout_masks.attention_output, rate
    )
    d_normed, d_params_attention = (
        multi_head_attention_with_dropout_backward(
            *(d_attention_output, normed, params.attention, mask),
            *(dropout_masks.weights, rate, heads),
        )
    )
    d_x, d_params_norm = _past_and_through(
        d_after_attention, d_normed, x, params.norm, epsilon
    )
    d_params = AttentionSublayer(d_params_norm, d_params_attention)
    return d_x, d_params


@checked
def feed_forward_sublayer_with_dropout(
    x: Float[Array, "*batch position d_model"],
    params: FeedForwardSublayer,
    dropout_masks: DropoutMasks,
    rate: float,
    epsilon: float,
) -> Float[Array, "*batch position d_model"]:
    r"""Feed-forward sublayer while it learns: with dropout.

    $Y = X + \operatorname{dropout}(\operatorname{feedforward}
    (\operatorname{norm}(X)))$
    """
    mlp_input = layer_norm(x, params.norm, epsilon)
    mlp_output = feed_forward_tanh(mlp_input, params.feed_forward)
    dropped = dropout(mlp_output, dropout_masks.mlp_output, rate)
    y = x + dropped
    return y


@checked
def feed_forward_sublayer_with_dropout_backward(
    d_y: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: FeedForwardSublayer,
    dropout_masks: DropoutMasks,
    rate: float,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], FeedForwardSublayer]:
    """Gradient: past the network, and through dropout, network and norm."""
    mlp_input = layer_norm(x, params.norm, epsilon)
    d_dropped = d_y
    # The gradient of dropout needs no more of its input than the shape.
    d_mlp_output = dropout_backward(
        d_dropped, x, dropout_masks.mlp_output, rate
    )
    d_mlp_input, d_params_feed_forward = feed_forward_tanh_backward(
        d_mlp_output, mlp_input, params.feed_forward
    )
    d_x, d_params_norm = _past_and_through(
        d_y, d_mlp_input, x, params.norm, epsilon
    )
    d_params = FeedForwardSublayer(d_params_norm, d_params_feed_forward)
    return d_x, d_params


def _past_and_through(d_y, d_normed, x, norm, epsilon):
    """Gradient of a residual connection: past the layer, and through it."""
    as_normed, d_params_norm = layer_norm_backward(
        d_normed, x, norm, epsilon
    )
    return d_y + as_normed, d_params_norm
