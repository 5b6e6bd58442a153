"""Functional style: parameters in a dict, the number of heads beside."""

import numpy as np


def init_params(d_model, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, d_model**-0.5, (d_model, d_model))
        for name in ("wq", "wk", "wv", "wo")
    }


def multi_head_attention(x, params, n_heads):
    """x: (tokens, d_model); each matrix: (d_model, d_model)"""
    t, d = x.shape

    def project(name):
        return (x @ params[name]).reshape(t, n_heads, -1).swapaxes(0, 1)

    q, k, v = project("wq"), project("wk"), project("wv")
    logits = q @ k.swapaxes(1, 2) / np.sqrt(d // n_heads)
    probs = np.exp(logits - logits.max(-1, keepdims=True))
    probs /= probs.sum(-1, keepdims=True)
    return (probs @ v).swapaxes(0, 1).reshape(t, d) @ params["wo"]
