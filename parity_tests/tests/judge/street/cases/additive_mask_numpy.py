"""A required mask that is added: 0 to see a key, -1e10 to hide it."""

import numpy as np


def softmax(logits):
    logits = logits - logits.max(-1, keepdims=True)
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def dot_product_attention(Q, K, V, mask):
    """`mask` is added to the scores: 0 to see, -1e10 to hide."""
    d_k = K.shape[-1]
    logits = np.einsum("...qd,...kd->...qk", Q, K) / d_k**0.5 + mask
    return softmax(logits) @ V
