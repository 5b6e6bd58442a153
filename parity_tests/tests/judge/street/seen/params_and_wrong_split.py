"""Wrong: heads are cut by one reshape, so each gets other tokens."""

import numpy as np


def multi_head_attention(x, params, n_heads):
    """x: (tokens, d_model); params: wq, wk, wv, wo"""
    t, d = x.shape
    q = (x @ params["wq"]).reshape(n_heads, t, d // n_heads)
    k = (x @ params["wk"]).reshape(n_heads, t, d // n_heads)
    v = (x @ params["wv"]).reshape(n_heads, t, d // n_heads)
    logits = q @ k.transpose(0, 2, 1) / np.sqrt(d // n_heads)
    probs = np.exp(logits - logits.max(-1, keepdims=True))
    probs /= probs.sum(-1, keepdims=True)
    return (probs @ v).transpose(1, 0, 2).reshape(t, d) @ params["wo"]
