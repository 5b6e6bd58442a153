"""NumPy from scratch: layers are objects with W and b."""

import numpy as np


class Linear:
    def __init__(self, n_in, n_out, rng):
        limit = np.sqrt(6 / (n_in + n_out))
        self.W = rng.uniform(-limit, limit, (n_in, n_out))
        self.b = np.zeros(n_out)

    def __call__(self, x):
        return x @ self.W + self.b


class MultiHeadAttention:
    def __init__(self, d_model, num_heads, seed=42):
        rng = np.random.default_rng(seed)
        self.num_heads = num_heads
        self.depth = d_model // num_heads
        self.wq = Linear(d_model, d_model, rng)
        self.wk = Linear(d_model, d_model, rng)
        self.wv = Linear(d_model, d_model, rng)
        self.dense = Linear(d_model, d_model, rng)

    def split_heads(self, x):
        b, t, _ = x.shape
        x = x.reshape(b, t, self.num_heads, self.depth)
        return x.transpose(0, 2, 1, 3)

    def forward(self, x):
        q = self.split_heads(self.wq(x))
        k = self.split_heads(self.wk(x))
        v = self.split_heads(self.wv(x))
        logits = q @ k.transpose(0, 1, 3, 2) / np.sqrt(self.depth)
        e = np.exp(logits - logits.max(-1, keepdims=True))
        out = (e / e.sum(-1, keepdims=True)) @ v
        return self.dense(out.transpose(0, 2, 1, 3).reshape(x.shape))
