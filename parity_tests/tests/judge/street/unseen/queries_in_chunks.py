"""Queries chunk by chunk, to save memory; the last may be shorter."""

import numpy as np


def _attend(q, k, v, visible):
    s = np.einsum("...id,...jd->...ij", q, k) * q.shape[-1] ** -0.5
    if visible is not None:
        s = np.where(visible, s, np.finfo(s.dtype).min)
    s -= s.max(-1, keepdims=True)
    p = np.exp(s)
    return p / p.sum(-1, keepdims=True) @ v


def attention(q, k, v, causal=False, q_chunk=16):
    n, m = q.shape[-2], k.shape[-2]
    tri = np.tri(n, m, m - n, dtype=bool) if causal else None
    parts = []
    for i in range(0, n, q_chunk):
        rows = None if tri is None else tri[i : i + q_chunk]
        parts.append(_attend(q[..., i : i + q_chunk, :], k, v, rows))
    return np.concatenate(parts, axis=-2)
