"""Wrong: the softmax has no axis, and runs over the whole matrix."""

import numpy as np


def softmax(z):
    z = np.exp(z - np.max(z))
    return z / np.sum(z)


def scaled_attention(Q, K, V):
    """Q: (n, d); K: (m, d); V: (m, d_v)"""
    return softmax(Q @ K.T / K.shape[1] ** 0.5) @ V
