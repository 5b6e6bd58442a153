"""Queries, and fewer heads of keys and values, come from one layer."""

import torch
from torch import nn


class GroupedAttention(nn.Module):
    def __init__(self, dim, num_heads, num_kv_heads):
        super().__init__()
        self.size = dim // num_heads
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        self.widths = [
            h * self.size for h in (num_heads, *[num_kv_heads] * 2)
        ]
        self.qkv = nn.Linear(dim, sum(self.widths))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = (
            part.unflatten(-1, (-1, self.size)).transpose(1, 2)
            for part in self.qkv(x).split(self.widths, dim=-1)
        )
        copies = self.num_heads // self.num_kv_heads
        k = k.repeat_interleave(copies, dim=1)
        v = v.repeat_interleave(copies, dim=1)
        scores = q @ k.mT / self.size**0.5
        future = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
        weights = scores.masked_fill(future, float("-inf")).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))
