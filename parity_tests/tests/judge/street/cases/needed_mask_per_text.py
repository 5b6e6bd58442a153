"""It cannot do without a mask: (batch, query, key), True to hide."""

import math

import torch
from torch import nn


class MultiHead(nn.Module):
    def __init__(self, d_model, heads):
        super().__init__()
        self.heads, self.d_k = heads, d_model // heads
        self.wq = nn.Linear(d_model, d_model)
        self.wk = nn.Linear(d_model, d_model)
        self.wv = nn.Linear(d_model, d_model)
        self.wo = nn.Linear(d_model, d_model)

    def forward(self, query, key, value, hidden):
        """hidden: (batch, query, key), True where a key is not seen."""
        q = self.wq(query).unflatten(2, (self.heads, self.d_k))
        k = self.wk(key).unflatten(2, (self.heads, self.d_k))
        v = self.wv(value).unflatten(2, (self.heads, self.d_k))
        logits = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(self.d_k)
        weights = logits.masked_fill(hidden[:, None], -1e9).softmax(-1)
        context = torch.einsum("bhqk,bkhd->bqhd", weights, v)
        return self.wo(context.flatten(2))
