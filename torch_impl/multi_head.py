"""Multi-head attention: each head has a look of its own at the tokens."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor as Array
from torch import nn

from .attention import (
    attention_scores,
    attention_with_dropout,
    masked_softmax,
    scaled_dot_product_attention,
)
from .checked import check_divides, check_equal, checked
from .layers import Linear
from .self_attention import CausalAttention, SelfAttention


class StackedHeads(nn.Module):
    heads: tuple[SelfAttention, ...]
    output: Linear

    def __init__(self, d_model: int, d_head: int, heads: int):
        super().__init__()
        self.heads = nn.ModuleList(
            CausalAttention(d_model, d_head) for _ in range(heads)
        )
        self.output = Linear(heads * d_head, d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        dropout_mask: Bool[Array, "*batch head position position"],
        rate: float,
    ) -> Float[Array, "*batch position d_model"]:
        check_equal(
            "heads of dropout_mask", dropout_mask.shape[-3], len(self.heads)
        )
        contexts = [
            head(x, dropout_mask[..., index, :, :], rate)
            for index, head in enumerate(self.heads)
        ]
        merged = torch.cat(contexts, dim=-1)
        y = self.output(merged)
        return y


@checked
def split_heads(
    x: Float[Array, "*batch position d_model"],
    heads: int,
) -> Float[Array, "*batch head position d_head"]:
    *batch, positions, d_model = x.shape
    check_divides("heads", heads, "d_model", d_model)
    separate = x.reshape(*batch, positions, heads, d_model // heads)
    split = separate.transpose(-3, -2)
    return split


@checked
def merge_heads(
    x: Float[Array, "*batch head position d_head"],
) -> Float[Array, "*batch position d_model"]:
    separate = x.transpose(-3, -2)
    *batch, positions, heads, d_head = separate.shape
    merged = separate.reshape(*batch, positions, heads * d_head)
    return merged


class MultiHeadAttention(nn.Module):
    query: Linear
    key: Linear
    value: Linear
    output: Linear

    def __init__(self, d_model: int):
        super().__init__()
        self.query = Linear(d_model, d_model)
        self.key = Linear(d_model, d_model)
        self.value = Linear(d_model, d_model)
        self.output = Linear(d_model, d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
    ) -> Float[Array, "*batch position d_model"]:
        query = split_heads(self.query(x), heads)
        key = split_heads(self.key(x), heads)
        value = split_heads(self.value(x), heads)
        head_mask = mask[..., None, :, :]
        context = scaled_dot_product_attention(query, key, value, head_mask)
        merged = merge_heads(context)
        y = self.output(merged)
        return y


class Heads(NamedTuple):
    """Attention heads in the open: what each looked with, at, and saw."""

    query: Float[Array, "*batch head position d_head"]
    key: Float[Array, "*batch head position d_head"]
    value: Float[Array, "*batch head position d_head"]
    weights: Float[Array, "*batch head position key"]
    context: Float[Array, "*batch head position d_head"]


class OpenHeads(MultiHeadAttention):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
    ) -> Heads:
        query = split_heads(self.query(x), heads)
        key = split_heads(self.key(x), heads)
        value = split_heads(self.value(x), heads)
        head_mask = mask[..., None, :, :]  # the same for all heads
        weights = masked_softmax(attention_scores(query, key), head_mask)
        context = weights @ value
        attention = Heads(query, key, value, weights, context)
        return attention


class MultiHeadAttentionWithDropout(MultiHeadAttention):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        dropout_mask: Bool[Array, "*#batch #head #position #position"],
        rate: float,
        heads: int,
    ) -> Float[Array, "*batch position d_model"]:
        query = split_heads(self.query(x), heads)
        key = split_heads(self.key(x), heads)
        value = split_heads(self.value(x), heads)
        head_mask = mask[..., None, :, :]
        context = attention_with_dropout(
            query, key, value, head_mask, dropout_mask, rate
        )
        merged = merge_heads(context)
        y = self.output(merged)
        return y
