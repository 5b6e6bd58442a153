"""Multi-head attention for long texts: the layer, tile by tile.

A layer that writes all scores needs memory for heads times n times n of
them: at 16,384 tokens and 6 heads, 6 GB. In tiles it needs little more
than queries, keys and values. Weights and numbers are those of
`multi_head_attention`, whose parameters it takes; so does any model whose
positions allow texts of that length (rotary ones, ALiBi).

The text is causal. Axes as in `multi_head`.
"""

from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..checked import checked
from ..layers import linear, linear_backward
from ..multi_head import (
    MultiHeadAttention,
    _through_projections,
    merge_heads,
    merge_heads_backward,
    split_heads,
)
from .tiled_attention import (
    tiled_causal_attention,
    tiled_causal_attention_backward,
)


@checked
def tiled_multi_head_attention(
    x: Float[Array, "*batch position d_model"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    block: int,
) -> Float[Array, "*batch position d_model"]:
    r"""Causal multi-head attention, tile by tile.

    $Y = \operatorname{merge}(\operatorname{attention}(Q, K, V, M \land
    C)) W_O^\top + b_O$, $C_{ij} = [\,j \le i\,]$, with $Q$, $K$, $V$
    split into heads (Vaswani et al. 2017, section 3.2.2; Dao et al. 2022)

    `mask` is for what else is hidden, padding say. Raises ValueError for
    heads that do not divide the features, and for a `block` below 1.
    """
    query = split_heads(linear(x, params.query), heads)
    key = split_heads(linear(x, params.key), heads)
    value = split_heads(linear(x, params.value), heads)
    head_mask = mask[..., None, :, :]  # the same for all heads
    context, _ = tiled_causal_attention(
        *(query, key, value, head_mask), past=0, block=block
    )
    merged = merge_heads(context)
    y = linear(merged, params.output)
    return y


@checked
def tiled_multi_head_attention_backward(
    d_y: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
    block: int,
) -> tuple[Float[Array, "*batch position d_model"], MultiHeadAttention]:
    """Gradient of the layer; no weights are kept for it."""
    query = split_heads(linear(x, params.query), heads)
    key = split_heads(linear(x, params.key), heads)
    value = split_heads(linear(x, params.value), heads)
    head_mask = mask[..., None, :, :]
    context, partial = tiled_causal_attention(
        *(query, key, value, head_mask), past=0, block=block
    )
    merged = merge_heads(context)
    d_merged, d_params_output = linear_backward(d_y, merged, params.output)
    d_context = merge_heads_backward(d_merged, context)
    d_query, d_key, d_value = tiled_causal_attention_backward(
        *(d_context, partial, query, key, value, head_mask),
        past=0,
        block=block,
    )
    d_x, d_params_projections = _through_projections(
        d_query, d_key, d_value, x, params
    )
    d_params = MultiHeadAttention(*d_params_projections, d_params_output)
    return d_x, d_params
