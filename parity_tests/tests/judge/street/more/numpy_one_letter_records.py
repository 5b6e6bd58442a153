"""Wrong: the backward lacks the scale. v is a matrix, g its gradient."""

from types import SimpleNamespace

import numpy as np


def record(rng, n):
    v = rng.normal(0, n**-0.5, (n, n))
    return SimpleNamespace(v=v, g=np.zeros_like(v))


class MultiHeadAttention:
    """x is (batch, tokens, n)."""

    def __init__(self, n, num_heads, seed=1):
        rng = np.random.default_rng(seed)
        self.num_heads = num_heads
        self.Wq, self.Wk = record(rng, n), record(rng, n)
        self.Wv, self.Wo = record(rng, n), record(rng, n)

    def split(self, x):
        return np.stack(np.split(x, self.num_heads, axis=-1), axis=1)

    def merge(self, x):
        return np.concatenate([x[:, i] for i in range(x.shape[1])], -1)

    def forward(self, x):
        q, k, v = (self.split(x @ W.v) for W in (self.Wq, self.Wk, self.Wv))
        s = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[3])
        a = np.exp(s - s.max(3, keepdims=True))
        a = a / a.sum(3, keepdims=True)
        y = self.merge(a @ v)
        self.before = x, q, k, v, a, y
        return y @ self.Wo.v

    def backward(self, dout):
        x, q, k, v, a, y = self.before
        rows = [z.reshape(-1, z.shape[-1]) for z in (x, y, dout)]
        self.Wo.g = rows[1].T @ rows[2]
        dy = self.split(dout @ self.Wo.v.T)
        da = dy @ v.swapaxes(2, 3)
        ds = a * (da - (da * a).sum(3, keepdims=True))
        dq = self.merge(ds @ k)
        dk = self.merge(ds.swapaxes(2, 3) @ q)
        dv = self.merge(a.swapaxes(2, 3) @ dy)
        self.Wq.g = rows[0].T @ dq.reshape(rows[0].shape)
        self.Wk.g = rows[0].T @ dk.reshape(rows[0].shape)
        self.Wv.g = rows[0].T @ dv.reshape(rows[0].shape)
        return dq @ self.Wq.v.T + dk @ self.Wk.v.T + dv @ self.Wv.v.T
