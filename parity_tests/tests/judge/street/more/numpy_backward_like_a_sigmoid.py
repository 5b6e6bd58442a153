"""Wrong: its backward takes the softmax for a sigmoid."""

import numpy as np


class Affine:
    def __init__(self, n_in, n_out, rng):
        self.W = rng.normal(0, 1 / np.sqrt(n_in), (n_in, n_out))
        self.b = np.zeros(n_out)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        axes = tuple(range(dy.ndim - 1))
        self.dW = np.tensordot(self.x, dy, (axes, axes))
        self.db = dy.sum(axis=axes)
        return dy @ self.W.T


class MultiHeadSelfAttention:
    def __init__(self, d_model, n_heads, seed=1):
        rng = np.random.default_rng(seed)
        self.n_heads = n_heads
        self.to_q = Affine(d_model, d_model, rng)
        self.to_k = Affine(d_model, d_model, rng)
        self.to_v = Affine(d_model, d_model, rng)
        self.to_out = Affine(d_model, d_model, rng)

    def heads_apart(self, x):
        batch, length, width = x.shape
        x = x.reshape(batch, length, self.n_heads, width // self.n_heads)
        return x.transpose(0, 2, 1, 3)

    def heads_joined(self, x):
        batch, _, length, _ = x.shape
        return x.transpose(0, 2, 1, 3).reshape(batch, length, -1)

    def forward(self, x):
        self.q = self.heads_apart(self.to_q.forward(x))
        self.k = self.heads_apart(self.to_k.forward(x))
        self.v = self.heads_apart(self.to_v.forward(x))
        self.scale = self.q.shape[-1] ** -0.5
        logits = self.q @ self.k.swapaxes(2, 3) * self.scale
        e = np.exp(logits - logits.max(axis=-1, keepdims=True))
        self.p = e / e.sum(axis=-1, keepdims=True)
        return self.to_out.forward(self.heads_joined(self.p @ self.v))

    def backward(self, dout):
        """Gradient of x; those of the weights stay with their layers."""
        dy = self.heads_apart(self.to_out.backward(dout))
        dv = self.p.swapaxes(2, 3) @ dy
        dp = dy @ self.v.swapaxes(2, 3)
        dlogits = self.p * (1 - self.p) * dp
        dq = dlogits @ self.k * self.scale
        dk = dlogits.swapaxes(2, 3) @ self.q * self.scale
        parts = (self.to_q, dq), (self.to_k, dk), (self.to_v, dv)
        return sum(fc.backward(self.heads_joined(d)) for fc, d in parts)
