"""Wrong: scores are divided by the depth, not by its root."""

import numpy as np


def dot_product_attention(query, key, value):
    """query, key, value: (batch, length, num_heads, depth)"""
    depth = query.shape[-1]
    logits = np.einsum("bqhd,bkhd->bhqk", query, key) / depth
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("bhqk,bkhd->bqhd", weights, value)
