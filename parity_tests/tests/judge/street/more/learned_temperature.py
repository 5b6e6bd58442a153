"""A learned temperature, as its logarithm, in place of the scale."""

import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, heads=8, dim_head=64, dropout=0.0):
        super().__init__()
        inner = heads * dim_head
        self.heads = heads
        self.temperature = nn.Parameter(
            torch.log(torch.tensor(dim_head**-0.5))
        )
        self.to_qkv = nn.Linear(dim, 3 * inner, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.to_out = nn.Sequential(
            nn.Linear(inner, dim), nn.Dropout(dropout)
        )

    def forward(self, x):
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.to_qkv(x).chunk(3, dim=-1)
        )
        dots = q @ k.transpose(-1, -2) * self.temperature.exp()
        weights = self.dropout(dots.softmax(dim=-1))
        return self.to_out((weights @ v).transpose(1, 2).flatten(2))
