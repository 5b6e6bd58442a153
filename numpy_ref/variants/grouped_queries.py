r"""Grouped-query attention: several query heads share one key head.

With as many key heads as query heads it is multi-head attention, with one
it is multi-query attention (Shazeer 2019); in between, the keys and values
to be kept while writing are fewer by the size of a group, at next to no
loss (Ainslie et al. 2023, section 2.2). Query heads of one group stand
next to each other: head h looks at key head h // (heads / key_heads).

Queries and keys are turned by their positions (`rotary`) after they are
split into heads, values are not.

Axes: `head` counts query heads, `key_head` the heads of keys and values;
the rest as in `multi_head`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..attention import (
    attention_scores,
    masked_softmax,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from ..checked import check_at_least, check_divides, checked
from ..layers import Linear
from ..multi_head import (
    merge_heads,
    merge_heads_backward,
    split_heads,
)
from .projection import Projection, projection, projection_backward
from .qwen2 import projected, projected_backward
from .rotary import rotary_halves, rotary_halves_backward


@checked
def repeat_heads(
    x: Float[Array, "*batch key_head position d_head"],
    repeats: int,
) -> Float[Array, "*batch head position d_head"]:
    """Repeat heads: each head `repeats` times, next to itself.

    Heads 0 1 2 become 0 0 1 1 2 2, and not 0 1 2 0 1 2, which would give
    most queries the keys of another group. Raises ValueError for fewer
    repeats than one.
    """
    check_at_least("repeats", repeats, 1)
    repeated = np.repeat(x, repeats, axis=-3)
    return repeated


@checked
def repeat_heads_backward(
    d_repeated: Float[Array, "*batch head position d_head"],
    x: Float[Array, "*batch key_head position d_head"],
    repeats: int,
) -> Float[Array, "*batch key_head position d_head"]:
    """Gradient of repeating: a head gets the sum over its group."""
    check_at_least("repeats", repeats, 1)
    *heads, positions, features = x.shape
    groups = d_repeated.reshape(*heads, repeats, positions, features)
    d_x = groups.sum(axis=-3)
    return d_x


@checked
def grouped_attention(
    query: Float[Array, "*batch head query d_head"],
    key: Float[Array, "*batch key_head key d_head"],
    value: Float[Array, "*batch key_head key d_value"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> Float[Array, "*batch head query d_value"]:
    r"""Attention with fewer key heads than query heads.

    $O_h = \operatorname{attention}(Q_h, K_g, V_g, M)$, $g = \lfloor h /
    r \rfloor$, with r query heads for each key head (Ainslie et al. 2023,
    section 2.2). `F.scaled_dot_product_attention` calls it `enable_gqa`.

    Raises ValueError when the key heads do not divide the query heads.
    """
    heads, key_heads = query.shape[-3], key.shape[-3]
    check_divides("key_heads", key_heads, "heads", heads)
    repeated_key = repeat_heads(key, heads // key_heads)
    repeated_value = repeat_heads(value, heads // key_heads)
    context = scaled_dot_product_attention(
        query, repeated_key, repeated_value, mask
    )
    return context


@checked
def grouped_attention_backward(
    d_context: Float[Array, "*batch head query d_value"],
    query: Float[Array, "*batch head query d_head"],
    key: Float[Array, "*batch key_head key d_head"],
    value: Float[Array, "*batch key_head key d_value"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> tuple[
    Float[Array, "*batch head query d_head"],
    Float[Array, "*batch key_head key d_head"],
    Float[Array, "*batch key_head key d_value"],
]:
    """Gradient: that of attention, keys and values summed over groups."""
    heads, key_heads = query.shape[-3], key.shape[-3]
    check_divides("key_heads", key_heads, "heads", heads)
    repeats = heads // key_heads
    repeated_key = repeat_heads(key, repeats)
    repeated_value = repeat_heads(value, repeats)
    d_query, d_repeated_key, d_repeated_value = (
        scaled_dot_product_attention_backward(
            d_context, query, repeated_key, repeated_value, mask
        )
    )
    d_key = repeat_heads_backward(d_repeated_key, key, repeats)
    d_value = repeat_heads_backward(d_repeated_value, value, repeats)
    return d_query, d_key, d_value


@checked
@dataclass(frozen=True, eq=False)
class GroupedQueryAttention:
    """Grouped-query attention: four projections, two of them narrower.

    In Qwen 2 the first three have biases.
    """

    query: Projection | Linear
    key: Projection | Linear
    value: Projection | Linear
    output: Projection


class GroupedHeads(NamedTuple):
    """Heads in the open: `Heads`, with fewer heads of keys and values.

    Query and key are as they met, after their rotation.
    """

    query: Float[Array, "*batch head position d_head"]
    key: Float[Array, "*batch key_head position d_head"]
    value: Float[Array, "*batch key_head position d_head"]
    weights: Float[Array, "*batch head position key"]
    context: Float[Array, "*batch head position d_head"]


@checked
def open_grouped_heads(
    x: Float[Array, "*batch position d_model"],
    params: GroupedQueryAttention,
    mask: Bool[Array, "*#batch #position #position"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
) -> GroupedHeads:
    """Grouped-query attention in the open, before the output layer."""
    check_divides("key_heads", key_heads, "heads", heads)
    split_query = split_heads(projected(x, params.query), heads)
    split_key = split_heads(projected(x, params.key), key_heads)
    query = rotary_halves(split_query, cosine, sine)
    key = rotary_halves(split_key, cosine, sine)
    value = split_heads(projected(x, params.value), key_heads)
    repeated_key = repeat_heads(key, heads // key_heads)
    repeated_value = repeat_heads(value, heads // key_heads)
    head_mask = mask[..., None, :, :]  # the same for all heads
    scores = attention_scores(query, repeated_key)
    weights = masked_softmax(scores, head_mask)
    context = weights @ repeated_value
    attention = GroupedHeads(query, key, value, weights, context)
    return attention


@checked
def grouped_query_attention(
    x: Float[Array, "*batch position d_model"],
    params: GroupedQueryAttention,
    mask: Bool[Array, "*#batch #position #position"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
) -> Float[Array, "*batch position d_model"]:
    r"""Grouped-query attention with rotary positions.

    $O = \operatorname{grouped}(R Q, R K, V, M)$ with $Q$ split into
    `heads`, $K$ and $V$ into `key_heads`, and R the rotation of each
    position; then $Y = \operatorname{merge}(O) W_O^\top$
    (Touvron et al. 2023, section 2.2)
    """
    check_divides("key_heads", key_heads, "heads", heads)
    split_query = split_heads(projected(x, params.query), heads)
    split_key = split_heads(projected(x, params.key), key_heads)
    query = rotary_halves(split_query, cosine, sine)
    key = rotary_halves(split_key, cosine, sine)
    value = split_heads(projected(x, params.value), key_heads)
    head_mask = mask[..., None, :, :]
    context = grouped_attention(query, key, value, head_mask)
    merged = merge_heads(context)
    y = projection(merged, params.output)
    return y


@checked
def grouped_query_attention_backward(
    d_y: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: GroupedQueryAttention,
    mask: Bool[Array, "*#batch #position #position"],
    cosine: Float[Array, "position pair"],
    sine: Float[Array, "position pair"],
    heads: int,
    key_heads: int,
) -> tuple[Float[Array, "*batch position d_model"], GroupedQueryAttention]:
    """Gradient: back through output, heads, rotation and projections."""
    check_divides("key_heads", key_heads, "heads", heads)
    split_query = split_heads(projected(x, params.query), heads)
    split_key = split_heads(projected(x, params.key), key_heads)
    query = rotary_halves(split_query, cosine, sine)
    key = rotary_halves(split_key, cosine, sine)
    value = split_heads(projected(x, params.value), key_heads)
    head_mask = mask[..., None, :, :]
    context = grouped_attention(query, key, value, head_mask)
    merged = merge_heads(context)
    d_merged, d_params_output = projection_backward(
        d_y, merged, params.output
    )
    d_context = merge_heads_backward(d_merged, context)
    d_query, d_key, d_value = grouped_attention_backward(
        d_context, query, key, value, head_mask
    )
    d_split_query = rotary_halves_backward(
        d_query, split_query, cosine, sine
    )
    d_split_key = rotary_halves_backward(d_key, split_key, cosine, sine)
    as_query, d_params_query = projected_backward(
        merge_heads(d_split_query), x, params.query
    )
    as_key, d_params_key = projected_backward(
        merge_heads(d_split_key), x, params.key
    )
    as_value, d_params_value = projected_backward(
        merge_heads(d_value), x, params.value
    )
    d_x = as_query + as_key + as_value
    d_params = GroupedQueryAttention(
        d_params_query, d_params_key, d_params_value, d_params_output
    )
    return d_x, d_params
