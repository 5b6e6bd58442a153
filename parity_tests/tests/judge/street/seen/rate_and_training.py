"""Dropout by rate and a flag; by default it is not in training."""

import numpy as np


def dot_attention(q, k, v, dropout=0.1, training=False, rng=None):
    z = q @ np.moveaxis(k, -1, -2) * (1.0 / np.sqrt(q.shape[-1]))
    z = np.exp(z - z.max(-1, keepdims=True))
    z = z / z.sum(-1, keepdims=True)
    if training:
        rng = rng or np.random.default_rng()
        z = z * (rng.random(z.shape) >= dropout) / (1 - dropout)
    return z @ v
