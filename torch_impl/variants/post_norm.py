"""Post-norm sublayers: the norm after the sum, as in 2017."""

from jaxtyping import Bool, Float
from torch import Tensor as Array
from torch import nn

from ..checked import checked
from ..layers import FeedForward, LayerNorm
from ..multi_head import Heads, MultiHeadAttention, merge_heads
from .cross_attention import OpenCrossHeads
from .relu import FeedForwardRelu


class PostNormAttention(nn.Module):
    attention: MultiHeadAttention
    norm: LayerNorm

    def __init__(self, d_model: int):
        super().__init__()
        self.attention = OpenCrossHeads(d_model)
        self.norm = LayerNorm(d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        source: Float[Array, "*batch key d_model"],
        mask: Bool[Array, "*#batch #position #key"],
        heads: int,
        epsilon: float,
    ) -> tuple[Float[Array, "*batch position d_model"], Heads]:
        attention = self.attention(x, source, mask, heads)
        merged = merge_heads(attention.context)
        attention_output = self.attention.output(merged)
        attention_sum = x + attention_output
        after_attention = self.norm(attention_sum, epsilon)
        return after_attention, attention


class PostNormFeedForward(nn.Module):
    feed_forward: FeedForward
    norm: LayerNorm

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        self.feed_forward = FeedForwardRelu(d_model, d_ff)
        self.norm = LayerNorm(d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch d_model"],
        epsilon: float,
    ) -> Float[Array, "*batch d_model"]:
        mlp_output = self.feed_forward(x)
        mlp_sum = x + mlp_output
        y = self.norm(mlp_sum, epsilon)
        return y
