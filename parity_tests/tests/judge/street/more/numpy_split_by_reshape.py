"""Wrong: heads are split and merged by a reshape alone."""

import numpy as np


class MultiHeadAttention:
    def __init__(self, d_model, num_heads, seed=0):
        rng = np.random.default_rng(seed)
        self.d_model, self.num_heads = d_model, num_heads
        self.d_k = d_model // num_heads
        self.W_Q = rng.standard_normal((d_model, d_model)) * 0.1
        self.W_K = rng.standard_normal((d_model, d_model)) * 0.1
        self.W_V = rng.standard_normal((d_model, d_model)) * 0.1
        self.W_O = rng.standard_normal((d_model, d_model)) * 0.1

    def split_heads(self, x):
        return x.reshape(x.shape[0], self.num_heads, -1, self.d_k)

    def merge_heads(self, x):
        return x.reshape(x.shape[0], -1, self.d_model)

    def softmax(self, x):
        e = np.exp(x - np.max(x, axis=-1, keepdims=True))
        return e / np.sum(e, axis=-1, keepdims=True)

    def forward(self, x):
        Q = self.split_heads(x @ self.W_Q)
        K = self.split_heads(x @ self.W_K)
        V = self.split_heads(x @ self.W_V)
        scores = Q @ K.transpose(0, 1, 3, 2) / np.sqrt(self.d_k)
        out = self.softmax(scores) @ V
        return self.merge_heads(out) @ self.W_O
