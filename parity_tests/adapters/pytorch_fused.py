"""PyTorch's fused attention: `SDPBackend.FLASH_ATTENTION`.

It takes a batch of heads, and values as wide as the keys.
"""

from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, is_causal=False, scale=None
):
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attn_mask,
            is_causal=is_causal,
            scale=scale,
        )
