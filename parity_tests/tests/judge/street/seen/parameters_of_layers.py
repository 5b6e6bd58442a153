"""Functions of a tree of parameters, as one writes for JAX, in NumPy."""

import numpy as np


def dense(params, x):
    return x @ params["kernel"] + params["bias"]


def attention_layer(params, x, *, num_heads):
    """x: (batch, tokens, d); params: a kernel and a bias for each name"""

    def heads(name):
        y = dense(params[name], x)
        return y.reshape(*y.shape[:-1], num_heads, -1)

    q, k, v = heads("query"), heads("key"), heads("value")
    logits = np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(q.shape[-1])
    logits -= logits.max(-1, keepdims=True)
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    y = np.einsum("bhqk,bkhd->bqhd", probs, v)
    return dense(params["out"], y.reshape(*y.shape[:-2], -1))
