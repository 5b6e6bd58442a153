"""Wrong: values come from tokeys, and tovalues is never called."""

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, emb, heads=2):
        super().__init__()
        self.heads, self.s = heads, emb // heads
        self.toqueries = nn.Linear(emb, emb, bias=False)
        self.tokeys = nn.Linear(emb, emb, bias=False)
        self.tovalues = nn.Linear(emb, emb, bias=False)
        self.unifyheads = nn.Linear(emb, emb)

    def forward(self, x):
        b, t, e = x.shape
        q = self.toqueries(x).view(b, t, self.heads, self.s)
        k = self.tokeys(x).view(b, t, self.heads, self.s)
        v = self.tokeys(x).view(b, t, self.heads, self.s)
        dot = torch.einsum("bqhs,bkhs->bhqk", q, k) / self.s**0.5
        out = torch.einsum("bhqk,bkhs->bqhs", dot.softmax(-1), v)
        return self.unifyheads(out.reshape(b, t, e))
