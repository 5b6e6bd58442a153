"""The same, with the softmax over the queries."""

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, d_model, n_heads, dropout=0.1):
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.proj = nn.Linear(d_model, d_model)
        self.alpha = nn.Parameter(torch.tensor(0.0))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        q, k, v = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for part in (self.query(x), self.key(x), self.value(x))
        )
        scores = q @ k.mT / q.shape[-1] ** 0.5
        weights = self.dropout(scores.softmax(dim=-2))
        out = (weights @ v).transpose(1, 2).flatten(2)
        return x + self.alpha * self.proj(out)
