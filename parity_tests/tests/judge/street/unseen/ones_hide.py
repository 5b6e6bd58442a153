"""Wrong: the docstring's mask keeps with 1, and the code's hides."""

import numpy as np


def attention(q, k, v, mask=None):
    """mask: integers, 1 where a query may attend to a key, else 0"""
    logits = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    if mask is not None:
        logits = np.where(mask == 1, -1e9, logits)
    logits -= logits.max(-1, keepdims=True)
    weights = np.exp(logits)
    return weights / weights.sum(-1, keepdims=True) @ v
