"""Heads in a list, each a class of its own, and no batch."""

import numpy as np


class AttentionHead:
    def __init__(self, dModel, dHead):
        self.dModel, self.dHead = dModel, dHead
        self.wQ = np.random.normal(0, 0.3, (dModel, dHead))
        self.wK = np.random.normal(0, 0.3, (dModel, dHead))
        self.wV = np.random.normal(0, 0.3, (dModel, dHead))

    def __call__(self, tokens):
        q, k, v = tokens @ self.wQ, tokens @ self.wK, tokens @ self.wV
        scores = q @ k.T / np.sqrt(self.dHead)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True) @ v


class MultiHead:
    def __init__(self, dModel=32, nHeads=4):
        width = dModel // nHeads
        self.heads = [AttentionHead(dModel, width) for _ in range(nHeads)]
        self.wO = np.random.normal(0, 0.3, (dModel, dModel))

    def forward(self, tokens):
        """tokens: (n, dModel)"""
        contexts = [head(tokens) for head in self.heads]
        return np.concatenate(contexts, axis=-1) @ self.wO
