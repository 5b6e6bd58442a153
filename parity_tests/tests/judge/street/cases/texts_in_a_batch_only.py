"""For texts in a batch, as documented: a text alone is reshaped wrongly."""

from typing import NamedTuple

import numpy as np


class AttentionParams(NamedTuple):
    wq: np.ndarray
    wk: np.ndarray
    wv: np.ndarray
    dense: np.ndarray


def softmax(x):
    exp_x = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return exp_x / np.sum(exp_x, axis=-1, keepdims=True)


def split_heads(x, num_heads):
    x = x.reshape(x.shape[0], -1, num_heads, x.shape[-1] // num_heads)
    return x.transpose(0, 2, 1, 3)


def multi_head_attention(
    params: AttentionParams, x_q, x_kv, attention_mask=None, num_heads=4
):
    """
    x_q: (batch, len_q, d_model); x_kv: (batch, len_kv, d_model)
    attention_mask: (batch, len_kv), 1 for real tokens and 0 for padding
    """
    q = split_heads(x_q @ params.wq, num_heads)
    k = split_heads(x_kv @ params.wk, num_heads)
    v = split_heads(x_kv @ params.wv, num_heads)
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(k.shape[-1])
    if attention_mask is not None:
        scores = scores + (1 - attention_mask)[:, None, None] * -1e9
    context = (softmax(scores) @ v).transpose(0, 2, 1, 3)
    return context.reshape(x_q.shape) @ params.dense
