"""Wrong: -1e-9 where -1e9 is meant."""

import numpy as np


def scaled_dot_product_attention(q, k, v, mask=None):
    """mask: 1.0 for positions to be hidden, else 0.0

    Returns the output and the attention weights.
    """
    logits = np.matmul(q, np.swapaxes(k, -1, -2)) / np.sqrt(k.shape[-1])
    if mask is not None:
        logits = np.where(mask == 1, -1e-9, logits)
    e = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    weights = e / np.sum(e, axis=-1, keepdims=True)
    return np.matmul(weights, v), weights
