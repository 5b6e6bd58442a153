"""QK-norm: queries and keys get one size before they meet."""

from jaxtyping import Bool, Float
from torch import Tensor as Array
from torch import nn

from ..attention import scaled_dot_product_attention
from ..checked import checked
from .rms_norm import RMSNorm


class QKNormAttention(nn.Module):
    query: RMSNorm
    key: RMSNorm

    def __init__(self, d_head: int):
        super().__init__()
        self.query = RMSNorm(d_head)
        self.key = RMSNorm(d_head)

    @checked
    def forward(
        self,
        query: Float[Array, "*batch query d_head"],
        key: Float[Array, "*batch key d_head"],
        value: Float[Array, "*batch key d_value"],
        mask: Bool[Array, "*#batch #query #key"],
        epsilon: float,
    ) -> Float[Array, "*batch query d_value"]:
        normed_query = self.query(query, epsilon)
        normed_key = self.key(key, epsilon)
        context = scaled_dot_product_attention(
            normed_query, normed_key, value, mask
        )
        return context
