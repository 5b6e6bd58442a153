"""Wrong: in this class of NumPy all weights together sum to 1."""

import numpy as np


class SelfAttention:
    def __init__(self, d_model, seed=0):
        random = np.random.default_rng(seed)
        self.W_q = random.standard_normal((d_model, d_model))
        self.W_k = random.standard_normal((d_model, d_model))
        self.W_v = random.standard_normal((d_model, d_model))

    def __call__(self, x):
        """x: (tokens, d_model)"""
        scores = (x @ self.W_q) @ (x @ self.W_k).T
        exponentials = np.exp((scores - np.max(scores)) / x.shape[1] ** 0.5)
        return exponentials / np.sum(exponentials) @ (x @ self.W_v)
