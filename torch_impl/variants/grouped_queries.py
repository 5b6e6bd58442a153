"""Grouped-query attention: several query heads share one key head."""

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor as Array
from torch import nn

from ..attention import (
    attention_scores,
    masked_softmax,
    scaled_dot_product_attention,
)
from ..checked import check_at_least, check_divides, checked
from ..layers import Linear
from ..multi_head import merge_heads, split_heads
from .projection import Projection
from .rotary import rotary_halves


@checked
def repeat_heads(
    x: Float[Array, "*batch key_head position d_head"],
    repeats: int,
) -> Float[Array, "*batch head position d_head"]:
    check_at_least("repeats", repeats, 1)
    repeated = x.repeat_interleave(repeats, dim=-3)
    return repeated


@checked
def grouped_attention(
    query: Float[Array, "*batch head query d_head"],
    key: Float[Array, "*batch key_head key d_head"],
    value: Float[Array, "*batch key_head key d_value"],
    mask: Bool[Array, "*#batch #head #query #key"],
) -> Float[Array, "*batch head query d_value"]:
    heads, key_heads = query.shape[-3], key.shape[-3]
    check_divides("key_heads", key_heads, "heads", heads)
    repeated_key = repeat_heads(key, heads // key_heads)
    repeated_value = repeat_heads(value, heads // key_heads)
    context = scaled_dot_product_attention(
        query, repeated_key, repeated_value, mask
    )
    return context


class GroupedQueryAttention(nn.Module):
    query: Projection | Linear
    key: Projection | Linear
    value: Projection | Linear
    output: Projection

    def __init__(
        self, d_model: int, d_head: int, heads: int, key_heads: int
    ):
        super().__init__()
        self.query = Projection(d_model, heads * d_head)
        self.key = Projection(d_model, key_heads * d_head)
        self.value = Projection(d_model, key_heads * d_head)
        self.output = Projection(heads * d_head, d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        cosine: Float[Array, "position pair"],
        sine: Float[Array, "position pair"],
        heads: int,
        key_heads: int,
    ) -> Float[Array, "*batch position d_model"]:
        check_divides("key_heads", key_heads, "heads", heads)
        split_query = split_heads(self.query(x), heads)
        split_key = split_heads(self.key(x), key_heads)
        query = rotary_halves(split_query, cosine, sine)
        key = rotary_halves(split_key, cosine, sine)
        value = split_heads(self.value(x), key_heads)
        head_mask = mask[..., None, :, :]
        context = grouped_attention(query, key, value, head_mask)
        merged = merge_heads(context)
        y = self.output(merged)
        return y


class GroupedHeads(NamedTuple):
    query: Float[Array, "*batch head position d_head"]
    key: Float[Array, "*batch key_head position d_head"]
    value: Float[Array, "*batch key_head position d_head"]
    weights: Float[Array, "*batch head position key"]
    context: Float[Array, "*batch head position d_head"]


class OpenGroupedHeads(GroupedQueryAttention):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        cosine: Float[Array, "position pair"],
        sine: Float[Array, "position pair"],
        heads: int,
        key_heads: int,
    ) -> GroupedHeads:
        check_divides("key_heads", key_heads, "heads", heads)
        split_query = split_heads(self.query(x), heads)
        split_key = split_heads(self.key(x), key_heads)
        query = rotary_halves(split_query, cosine, sine)
        key = rotary_halves(split_key, cosine, sine)
        value = split_heads(self.value(x), key_heads)
        repeated_key = repeat_heads(key, heads // key_heads)
        repeated_value = repeat_heads(value, heads // key_heads)
        head_mask = mask[..., None, :, :]  # the same for all heads
        scores = attention_scores(query, repeated_key)
        weights = masked_softmax(scores, head_mask)
        context = weights @ repeated_value
        attention = GroupedHeads(query, key, value, weights, context)
        return attention
