"""Wrong: reshape(d, n) only looks like a transpose."""

import numpy as np


def attention(Q, K, V):
    """Q: (n, d), K: (m, d), V: (m, d_v)"""
    m, d = K.shape
    scores = Q @ K.reshape(d, m) / np.sqrt(d)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True) @ V
