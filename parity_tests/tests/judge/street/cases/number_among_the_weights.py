"""The number of heads stands among the weights, in one dict."""

import numpy as np


def softmax(x):
    exp_x = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return exp_x / np.sum(exp_x, axis=-1, keepdims=True)


def self_attention(params, x):
    """x: (batch, seq, dim) -> (batch, seq, dim)"""
    b, n, d = x.shape
    h = params["heads"]
    qkv = np.split(x @ params["to_qkv"], 3, axis=-1)
    q, k, v = (each.reshape(b, n, h, d // h) for each in qkv)
    scores = np.einsum("bihd,bjhd->bhij", q, k) / np.sqrt(d // h)
    out = np.einsum("bhij,bjhd->bihd", softmax(scores), v)
    return out.reshape(b, n, d) @ params["to_out"]
