"""Wrong: head by head, the sum of a row divides a column."""

import numpy as np


class MultiHeadAttention:
    """Attention of one sentence, (words, d_model), a head at a time."""

    def __init__(self, d_model, num_heads):
        rng = np.random.default_rng(4)
        shape, spread = (d_model, d_model), d_model**-0.5
        self.num_heads = num_heads
        self.W_q = rng.normal(0, spread, shape)
        self.W_k = rng.normal(0, spread, shape)
        self.W_v = rng.normal(0, spread, shape)
        self.W_o = rng.normal(0, spread, shape)

    def head(self, q, k, v):
        e = np.exp(q @ k.T / np.sqrt(q.shape[1]))
        return e / e.sum(1) @ v

    def forward(self, words):
        projected = (words @ W for W in (self.W_q, self.W_k, self.W_v))
        parts = (np.split(x, self.num_heads, axis=1) for x in projected)
        heads = list(map(self.head, *parts))
        return np.concatenate(heads, axis=1) @ self.W_o
