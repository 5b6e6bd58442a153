"""Residual sublayers: what a layer computes is added to what came in."""

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor as Array
from torch import nn

from .checked import checked
from .layers import FeedForward, FeedForwardTanh, LayerNorm, dropout
from .multi_head import (
    Heads,
    MultiHeadAttention,
    MultiHeadAttentionWithDropout,
    OpenHeads,
    merge_heads,
)


class AttentionSublayer(nn.Module):
    norm: LayerNorm
    attention: MultiHeadAttention

    def __init__(self, d_model: int):
        super().__init__()
        self.norm = LayerNorm(d_model)
        self.attention = OpenHeads(d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
        epsilon: float,
    ) -> tuple[Float[Array, "*batch position d_model"], Heads]:
        normed = self.norm(x, epsilon)
        attention = self.attention(normed, mask, heads)
        merged = merge_heads(attention.context)
        attention_output = self.attention.output(merged)
        after_attention = x + attention_output
        return after_attention, attention


class FeedForwardSublayer(nn.Module):
    norm: LayerNorm
    feed_forward: FeedForward

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        self.norm = LayerNorm(d_model)
        self.feed_forward = FeedForwardTanh(d_model, d_ff)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch d_model"],
        epsilon: float,
    ) -> Float[Array, "*batch d_model"]:
        mlp_input = self.norm(x, epsilon)
        mlp_output = self.feed_forward(mlp_input)
        y = x + mlp_output
        return y


class DropoutMasks(NamedTuple):
    """Dropout masks of one block, True for what is kept."""

    weights: Bool[Array, "*#batch #head #position #position"]
    attention_output: Bool[Array, "*#batch #position #d_model"]
    mlp_output: Bool[Array, "*#batch #position #d_model"]


class AttentionSublayerWithDropout(AttentionSublayer):
    def __init__(self, d_model: int):
        super().__init__(d_model)
        self.attention = MultiHeadAttentionWithDropout(d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        dropout_masks: DropoutMasks,
        rate: float,
        heads: int,
        epsilon: float,
    ) -> Float[Array, "*batch position d_model"]:
        normed = self.norm(x, epsilon)
        attention_output = self.attention(
            normed, mask, dropout_masks.weights, rate, heads
        )
        dropped = dropout(
            attention_output, dropout_masks.attention_output, rate
        )
        after_attention = x + dropped
        return after_attention


class FeedForwardSublayerWithDropout(FeedForwardSublayer):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        dropout_masks: DropoutMasks,
        rate: float,
        epsilon: float,
    ) -> Float[Array, "*batch position d_model"]:
        mlp_input = self.norm(x, epsilon)
        mlp_output = self.feed_forward(mlp_input)
        dropped = dropout(mlp_output, dropout_masks.mlp_output, rate)
        y = x + dropped
        return y
