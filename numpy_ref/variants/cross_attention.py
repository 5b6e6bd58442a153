r"""Cross-attention: one text asks, another one answers.

Queries come from the tokens of a target; keys and values from those of a
source: a translation looks at the sentence that it translates (Bahdanau
et al. 2014; in a transformer, Vaswani et al. 2017, section 3.2.3). The
parameters are those of multi-head attention, and self-attention is the
case in which both texts are one.

Axes: `position` counts the tokens of the target, `key` those of the
source; the rest as in `multi_head`.
"""

from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..attention import (
    attention_scores,
    masked_softmax,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from ..checked import checked
from ..layers import linear, linear_backward
from ..multi_head import (
    Heads,
    MultiHeadAttention,
    merge_heads,
    merge_heads_backward,
    split_heads,
)


@checked
def open_cross_heads(
    x: Float[Array, "*batch position d_model"],
    source: Float[Array, "*batch key d_model"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #key"],
    heads: int,
) -> Heads:
    """Cross-attention with its parts in the open, before the output.

    Weights have a row for each token of the target, a column for each of
    the source. `params.output` mixes the heads' contexts afterwards.
    """
    query = split_heads(linear(x, params.query), heads)
    key = split_heads(linear(source, params.key), heads)
    value = split_heads(linear(source, params.value), heads)
    head_mask = mask[..., None, :, :]  # the same for all heads
    weights = masked_softmax(attention_scores(query, key), head_mask)
    context = weights @ value
    attention = Heads(query, key, value, weights, context)
    return attention


@checked
def cross_attention(
    x: Float[Array, "*batch position d_model"],
    source: Float[Array, "*batch key d_model"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #key"],
    heads: int,
) -> Float[Array, "*batch position d_model"]:
    r"""Cross-attention: queries of one text, keys and values of another.

    $Q = X W_Q^\top + b_Q$, $K = Z W_K^\top + b_K$,
    $V = Z W_V^\top + b_V$, with Z the `source`; then as in multi-head
    attention, $Y = \operatorname{merge}(O) W_O^\top + b_O$
    (Vaswani et al. 2017, section 3.2.3)

    `mask` says which tokens of the source are no padding; a source has no
    future to hide. Raises ValueError for a source with another batch than
    the target's.
    """
    query = split_heads(linear(x, params.query), heads)
    key = split_heads(linear(source, params.key), heads)
    value = split_heads(linear(source, params.value), heads)
    head_mask = mask[..., None, :, :]
    context = scaled_dot_product_attention(query, key, value, head_mask)
    merged = merge_heads(context)
    y = linear(merged, params.output)
    return y


@checked
def cross_attention_backward(
    d_y: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    source: Float[Array, "*batch key d_model"],
    params: MultiHeadAttention,
    mask: Bool[Array, "*#batch #position #key"],
    heads: int,
) -> tuple[
    Float[Array, "*batch position d_model"],
    Float[Array, "*batch key d_model"],
    MultiHeadAttention,
]:
    """Gradient: the target's by its queries, the source's by the rest."""
    query = split_heads(linear(x, params.query), heads)
    key = split_heads(linear(source, params.key), heads)
    value = split_heads(linear(source, params.value), heads)
    head_mask = mask[..., None, :, :]
    context = scaled_dot_product_attention(query, key, value, head_mask)
    merged = merge_heads(context)
    d_merged, d_params_output = linear_backward(d_y, merged, params.output)
    d_context = merge_heads_backward(d_merged, context)
    d_query, d_key, d_value = scaled_dot_product_attention_backward(
        d_context, query, key, value, head_mask
    )
    d_x, d_params_query = linear_backward(
        merge_heads(d_query), x, params.query
    )
    as_key, d_params_key = linear_backward(
        merge_heads(d_key), source, params.key
    )
    as_value, d_params_value = linear_backward(
        merge_heads(d_value), source, params.value
    )
    d_source = as_key + as_value
    d_params = MultiHeadAttention(
        *(d_params_query, d_params_key, d_params_value, d_params_output)
    )
    return d_x, d_source, d_params
