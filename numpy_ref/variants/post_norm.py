r"""Post-norm sublayers: the norm after the sum, as in 2017.

$Y = \operatorname{norm}(X + f(X))$, with attention or a feed-forward
network for $f$ (Vaswani et al. 2017, section 3.1). In `sublayers` the norm
stands before $f$, and there is a way through all blocks on which nothing
is normed; here each gradient goes through each norm, which is why deep
models of this kind want a warm-up (Xiong et al. 2020, section 3).

Attention takes its keys and values from a `source`: the tokens themselves,
or those of another text.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..checked import checked
from ..layers import (
    FeedForward,
    LayerNorm,
    layer_norm,
    layer_norm_backward,
    linear,
)
from ..multi_head import Heads, MultiHeadAttention, merge_heads
from .cross_attention import (
    cross_attention,
    cross_attention_backward,
    open_cross_heads,
)
from .relu import feed_forward_relu, feed_forward_relu_backward


@checked
@dataclass(frozen=True, eq=False)
class PostNormAttention:
    """Post-norm attention: the attention, and the norm that follows it."""

    attention: MultiHeadAttention
    norm: LayerNorm


@checked
def post_norm_attention(
    x: Float[Array, "*batch position d_model"],
    source: Float[Array, "*batch key d_model"],
    params: PostNormAttention,
    mask: Bool[Array, "*#batch #position #key"],
    heads: int,
    epsilon: float,
) -> tuple[Float[Array, "*batch position d_model"], Heads]:
    r"""Attention, added and normed; also its parts, in the open.

    $H = \operatorname{norm}(X + \operatorname{attention}(X, Z))$, with Z
    the `source`: X itself in self-attention.
    """
    attention = open_cross_heads(x, source, params.attention, mask, heads)
    merged = merge_heads(attention.context)
    attention_output = linear(merged, params.attention.output)
    attention_sum = x + attention_output
    after_attention = layer_norm(attention_sum, params.norm, epsilon)
    return after_attention, attention


@checked
def post_norm_attention_backward(
    d_after_attention: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    source: Float[Array, "*batch key d_model"],
    params: PostNormAttention,
    mask: Bool[Array, "*#batch #position #key"],
    heads: int,
    epsilon: float,
) -> tuple[
    Float[Array, "*batch position d_model"],
    Float[Array, "*batch key d_model"],
    PostNormAttention,
]:
    r"""Gradient: through the norm, then past the attention and through it.

    $dX = dS + \text{through the queries}$, with $S$ the sum that is
    normed. A text that is its own source gets $dX + dZ$.
    """
    attention_output = cross_attention(
        x, source, params.attention, mask, heads
    )
    attention_sum = x + attention_output
    d_attention_sum, d_params_norm = layer_norm_backward(
        d_after_attention, attention_sum, params.norm, epsilon
    )
    d_attention_output = d_attention_sum
    through, d_source, d_params_attention = cross_attention_backward(
        d_attention_output, x, source, params.attention, mask, heads
    )
    d_x = d_attention_sum + through
    d_params = PostNormAttention(d_params_attention, d_params_norm)
    return d_x, d_source, d_params


@checked
@dataclass(frozen=True, eq=False)
class PostNormFeedForward:
    """Post-norm feed-forward: the network, and the norm after it."""

    feed_forward: FeedForward
    norm: LayerNorm


@checked
def post_norm_feed_forward(
    x: Float[Array, "*batch d_model"],
    params: PostNormFeedForward,
    epsilon: float,
) -> Float[Array, "*batch d_model"]:
    r"""A feed-forward network with ReLU, added and normed.

    $Y = \operatorname{norm}(X + \operatorname{feedforward}(X))$
    """
    mlp_output = feed_forward_relu(x, params.feed_forward)
    mlp_sum = x + mlp_output
    y = layer_norm(mlp_sum, params.norm, epsilon)
    return y


@checked
def post_norm_feed_forward_backward(
    d_y: Float[Array, "*batch d_model"],
    x: Float[Array, "*batch d_model"],
    params: PostNormFeedForward,
    epsilon: float,
) -> tuple[Float[Array, "*batch d_model"], PostNormFeedForward]:
    """Gradient: through the norm, then past the network and through it."""
    mlp_output = feed_forward_relu(x, params.feed_forward)
    mlp_sum = x + mlp_output
    d_mlp_sum, d_params_norm = layer_norm_backward(
        d_y, mlp_sum, params.norm, epsilon
    )
    d_mlp_output = d_mlp_sum
    through, d_params_feed_forward = feed_forward_relu_backward(
        d_mlp_output, x, params.feed_forward
    )
    d_x = d_mlp_sum + through
    d_params = PostNormFeedForward(d_params_feed_forward, d_params_norm)
    return d_x, d_params
