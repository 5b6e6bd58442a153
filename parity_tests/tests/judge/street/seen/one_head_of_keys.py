"""Multi-query attention: one head of keys and values for all queries."""

import torch
from torch import nn


class MultiQueryAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.dim_head = heads, dim // heads
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * self.dim_head, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, x):
        q = self.to_q(x).unflatten(-1, (self.heads, self.dim_head))
        k, v = self.to_kv(x).chunk(2, dim=-1)
        sim = torch.einsum("bihd,bjd->bhij", q, k) * self.dim_head**-0.5
        attn = sim.softmax(dim=-1)
        out = torch.einsum("bhij,bjd->bihd", attn, v)
        return self.to_out(out.flatten(-2))
