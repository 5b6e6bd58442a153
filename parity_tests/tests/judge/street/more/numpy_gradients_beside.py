"""Layers of NumPy that keep the gradients of their weights beside them."""

import numpy as np


class Dense:
    def __init__(self, rng, n_in, n_out):
        self.W = rng.normal(size=(n_in, n_out)) / np.sqrt(n_in)
        self.b = np.zeros(n_out)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        rows = dout.reshape(-1, dout.shape[-1])
        self.dW += self.x.reshape(-1, self.x.shape[-1]).T @ rows
        self.db += rows.sum(axis=0)
        return dout @ self.W.T


class MultiHeadAttention:
    """x: (batch, tokens, features). causal=True hides later tokens"""

    def __init__(self, d_model, n_heads, causal=False, seed=0):
        rng = np.random.default_rng(seed)
        self.n_heads = n_heads
        self.causal = causal
        self.wq = Dense(rng, d_model, d_model)
        self.wk = Dense(rng, d_model, d_model)
        self.wv = Dense(rng, d_model, d_model)
        self.wo = Dense(rng, d_model, d_model)

    def split(self, x):
        b, t, d = x.shape
        x = x.reshape(b, t, self.n_heads, d // self.n_heads)
        return x.transpose(0, 2, 1, 3)

    def merge(self, x):
        b, h, t, d = x.shape
        return x.transpose(0, 2, 1, 3).reshape(b, t, h * d)

    def forward(self, x):
        q = self.split(self.wq.forward(x))
        k = self.split(self.wk.forward(x))
        v = self.split(self.wv.forward(x))
        self.root = np.sqrt(q.shape[-1])
        s = q @ k.transpose(0, 1, 3, 2) / self.root
        if self.causal:
            t = x.shape[1]
            s = np.where(np.tri(t, dtype=bool), s, -np.inf)
        e = np.exp(s - s.max(axis=-1, keepdims=True))
        p = e / e.sum(axis=-1, keepdims=True)
        self.kept = q, k, v, p
        return self.wo.forward(self.merge(p @ v))

    def backward(self, dout):
        q, k, v, p = self.kept
        do = self.split(self.wo.backward(dout))
        dp = do @ v.transpose(0, 1, 3, 2)
        ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) / self.root
        dv = p.transpose(0, 1, 3, 2) @ do
        dk = ds.transpose(0, 1, 3, 2) @ q
        dx = self.wq.backward(self.merge(ds @ k))
        dx += self.wk.backward(self.merge(dk))
        return dx + self.wv.backward(self.merge(dv))
