"""Wrong: a line was copied, and W_q is never used."""

import numpy as np


class SelfAttention:
    def __init__(self, d_in, d_out, seed=3):
        rng = np.random.RandomState(seed)
        self.d_out = d_out
        self.W_q = rng.randn(d_in, d_out)
        self.W_k = rng.randn(d_in, d_out)
        self.W_v = rng.randn(d_in, d_out)

    def __call__(self, x):
        """x: (batch, tokens, d_in)"""
        q = np.dot(x, self.W_k)
        k = np.dot(x, self.W_k)
        v = np.dot(x, self.W_v)
        s = np.einsum("bid,bjd->bij", q, k) / np.sqrt(self.d_out)
        p = np.exp(s - s.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True) @ v
