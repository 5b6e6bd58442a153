"""Self-attention of tokens and three matrices, as on a slide."""

import numpy as np


def self_attention(X, W_q, W_k, W_v):
    """X: (n_tokens, d_in); W_q, W_k: (d_in, d_k); W_v: (d_in, d_v)"""
    Q, K, V = X @ W_q, X @ W_k, X @ W_v
    S = Q @ K.T / np.sqrt(W_k.shape[1])
    A = np.exp(S - S.max(axis=1, keepdims=True))
    A /= A.sum(axis=1, keepdims=True)
    return A @ V
