"""GPT-2 in few lines: causal heads, and dicts of w and b."""

import numpy as np


def softmax(x):
    exp_x = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return exp_x / np.sum(exp_x, axis=-1, keepdims=True)


def linear(x, w, b):
    return x @ w + b


def attention(q, k, v, mask):
    return softmax(q @ k.T / np.sqrt(q.shape[-1]) + mask) @ v


def mha(x, c_attn, c_proj, n_head):
    """x: [n_seq, n_embd]; c_attn and c_proj: {"w": ..., "b": ...}"""
    x = linear(x, **c_attn)
    qkv = np.split(x, 3, axis=-1)
    qkv_heads = [np.split(part, n_head, axis=-1) for part in qkv]
    causal_mask = (1 - np.tri(x.shape[0], dtype=x.dtype)) * -1e10
    heads = [
        attention(q, k, v, causal_mask)
        for q, k, v in zip(*qkv_heads, strict=True)
    ]
    return linear(np.hstack(heads), **c_proj)
