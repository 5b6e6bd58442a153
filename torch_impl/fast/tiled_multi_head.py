"""Multi-head attention for long texts: the layer, tile by tile."""

from jaxtyping import Bool, Float
from torch import Tensor as Array

from ..checked import checked
from ..multi_head import MultiHeadAttention, merge_heads, split_heads
from .tiled_attention import tiled_causal_attention


class TiledMultiHeadAttention(MultiHeadAttention):
    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
        block: int,
    ) -> Float[Array, "*batch position d_model"]:
        query = split_heads(self.query(x), heads)
        key = split_heads(self.key(x), heads)
        value = split_heads(self.value(x), heads)
        head_mask = mask[..., None, :, :]  # the same for all heads
        context, _ = tiled_causal_attention(
            *(query, key, value, head_mask), past=0, block=block
        )
        merged = merge_heads(context)
        y = self.output(merged)
        return y
