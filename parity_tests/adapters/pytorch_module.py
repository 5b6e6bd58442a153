"""`torch.nn.MultiheadAttention`, with identity projections.

It takes a batch of texts, the same number of features everywhere, and a
mask that is True where a key is masked.
"""

import torch
from torch import nn


def scaled_dot_product_attention(query, key, value, mask=None):
    width = query.shape[-1]
    layer = nn.MultiheadAttention(
        width, num_heads=1, bias=False, batch_first=True, dtype=query.dtype
    )
    unchanged = torch.eye(width, dtype=query.dtype)
    with torch.no_grad():
        layer.in_proj_weight.copy_(unchanged.repeat(3, 1))
        layer.out_proj.weight.copy_(unchanged)
    if mask is not None and mask.ndim == 3:
        mask = mask.expand(len(query), query.shape[1], key.shape[1])
    if mask is not None and mask.ndim == 2:
        mask = mask.expand(query.shape[-2], key.shape[-2])
    context, _ = layer.eval()(query, key, value, attn_mask=mask)
    return context
