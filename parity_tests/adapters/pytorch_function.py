"""`torch.nn.functional.scaled_dot_product_attention`, as it is."""

from torch.nn import functional as F


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, is_causal=False, scale=None
):
    fewer_key_heads = query.ndim == 4 and query.shape[1] != key.shape[1]
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attn_mask,
        is_causal=is_causal,
        scale=scale,
        enable_gqa=fewer_key_heads,
    )
