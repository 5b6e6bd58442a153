"""Each matrix stands in a record with its gradient and Adam's averages."""

import numpy as np


class Weight:
    def __init__(self, rng, rows, columns):
        self.data = rng.standard_normal((rows, columns)) / rows**0.5
        self.grad = np.zeros((rows, columns))
        self.m = np.zeros((rows, columns))
        self.v = np.zeros((rows, columns))

    def step(self, count, lr=1e-3, eps=1e-8):
        self.m += 0.1 * (self.grad - self.m)
        self.v += 0.001 * (self.grad**2 - self.v)
        mean = self.m / (1 - 0.9**count)
        spread = (self.v / (1 - 0.999**count)) ** 0.5
        self.data -= lr * mean / (spread + eps)
        self.grad[:] = 0


class SelfAttention:
    def __init__(self, d_model, n_heads, seed=0):
        rng = np.random.default_rng(seed)
        self.n_heads, self.d_head = n_heads, d_model // n_heads
        self.query = Weight(rng, d_model, d_model)
        self.key = Weight(rng, d_model, d_model)
        self.value = Weight(rng, d_model, d_model)
        self.output = Weight(rng, d_model, d_model)

    def to_heads(self, x):
        batch, tokens, _ = x.shape
        x = x.reshape(batch, tokens, self.n_heads, self.d_head)
        return np.moveaxis(x, 2, 1)

    def from_heads(self, x):
        return np.concatenate(list(np.moveaxis(x, 1, 0)), axis=-1)

    def forward(self, x):
        parts = (self.query, self.key, self.value)
        q, k, v = (self.to_heads(x @ part.data) for part in parts)
        scores = np.einsum("bhqd,bhkd->bhqk", q, k) / self.d_head**0.5
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        context = self.from_heads(p @ v)
        self.saved = x, q, k, v, p, context
        return context @ self.output.data

    def backward(self, d_out):
        x, q, k, v, p, context = self.saved
        self.output.grad += np.einsum("bti,bto->io", context, d_out)
        d_context = self.to_heads(d_out @ self.output.data.T)
        d_p = np.einsum("bhqd,bhkd->bhqk", d_context, v)
        d_s = p * (d_p - np.sum(d_p * p, axis=-1, keepdims=True))
        d_s /= self.d_head**0.5
        d_parts = (
            d_s @ k,
            np.einsum("bhqk,bhqd->bhkd", d_s, q),
            np.einsum("bhqk,bhqd->bhkd", p, d_context),
        )
        parts = (self.query, self.key, self.value)
        d_x = np.zeros_like(x)
        for part, d_heads in zip(parts, d_parts, strict=True):
            d_part = self.from_heads(d_heads)
            part.grad += np.einsum("bti,bto->io", x, d_part)
            d_x += d_part @ part.data.T
        return d_x
