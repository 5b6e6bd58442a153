"""One joined matrix; the results come in a dict."""

import numpy as np


def attention_layer(X, W_qkv):
    """X: (batch, tokens, d); W_qkv: (d, 3 * d_k)"""
    queries, keys, values = np.split(X @ W_qkv, 3, axis=2)
    energies = np.einsum("bqd,bkd->bqk", queries, keys)
    energies = energies / np.sqrt(queries.shape[2])
    energies = np.exp(energies - energies.max(axis=2, keepdims=True))
    probs = energies / energies.sum(axis=2, keepdims=True)
    return {"output": probs @ values, "attention": probs}
