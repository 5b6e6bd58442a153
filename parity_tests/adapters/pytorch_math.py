"""PyTorch's attention as plain products: `SDPBackend.MATH`.

In half precision it computes in float32, and rounds the output once.
"""

from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, is_causal=False, scale=None
):
    with sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attn_mask,
            is_causal=is_causal,
            scale=scale,
        )
