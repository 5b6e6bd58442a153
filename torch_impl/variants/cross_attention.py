"""Cross-attention: one text asks, another one answers."""

from jaxtyping import Bool, Float
from torch import Tensor as Array

from ..attention import (
    attention_scores,
    masked_softmax,
    scaled_dot_product_attention,
)
from ..checked import checked
from ..multi_head import (
    Heads,
    MultiHeadAttention,
    merge_heads,
    split_heads,
)


class OpenCrossHeads(MultiHeadAttention):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        source: Float[Array, "*batch key d_model"],
        mask: Bool[Array, "*#batch #position #key"],
        heads: int,
    ) -> Heads:
        query = split_heads(self.query(x), heads)
        key = split_heads(self.key(source), heads)
        value = split_heads(self.value(source), heads)
        head_mask = mask[..., None, :, :]  # the same for all heads
        weights = masked_softmax(attention_scores(query, key), head_mask)
        context = weights @ value
        attention = Heads(query, key, value, weights, context)
        return attention


class CrossAttention(MultiHeadAttention):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        source: Float[Array, "*batch key d_model"],
        mask: Bool[Array, "*#batch #position #key"],
        heads: int,
    ) -> Float[Array, "*batch position d_model"]:
        query = split_heads(self.query(x), heads)
        key = split_heads(self.key(source), heads)
        value = split_heads(self.value(source), heads)
        head_mask = mask[..., None, :, :]
        context = scaled_dot_product_attention(query, key, value, head_mask)
        merged = merge_heads(context)
        y = self.output(merged)
        return y
