"""The layout (batch, tokens, heads, features), as JAX has it."""

import numpy as np


def dot_product_attention(query, key, value, bias=None):
    """`query`, `key` and `value` are (batch, length, num_heads, depth).

    `bias`, (batch or 1, num_heads or 1, q_length, kv_length), is added to
    the logits before the softmax.
    """
    query = query / np.sqrt(query.shape[-1]).astype(query.dtype)
    logits = np.einsum("bqhd,bkhd->bhqk", query, key)
    if bias is not None:
        logits = logits + bias
    logits = logits - logits.max(axis=-1, keepdims=True)
    weights = np.exp(logits)
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return np.einsum("bhqk,bkhd->bqhd", weights, value)
