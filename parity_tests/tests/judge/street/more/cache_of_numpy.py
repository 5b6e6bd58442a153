"""Right: a function of NumPy that hands its cache on, last of three."""

import numpy as np


def causal_self_attention(x, W_q, W_k, W_v, kv_cache=None):
    q, k, v = x @ W_q, x @ W_k, x @ W_v
    if kv_cache is not None:
        k = np.concatenate([kv_cache[0], k], axis=-2)
        v = np.concatenate([kv_cache[1], v], axis=-2)
    n, m = q.shape[-2], k.shape[-2]
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(k.shape[-1])
    scores = np.where(np.tri(n, m, m - n), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights @ v, weights, (k, v)
