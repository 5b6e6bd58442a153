"""Wrong: each angle stands twice in a row, and halves are turned."""

import torch
from torch import nn


class RotaryEmbedding(nn.Module):
    def __init__(self, dim, base=10000):
        super().__init__()
        self.dim, self.base = dim, base

    def forward(self, x):
        """x: (batch, heads, tokens, dim)"""
        pair = torch.arange(0, self.dim, 2, dtype=x.dtype)
        place = torch.arange(x.shape[-2], dtype=x.dtype)
        angles = torch.outer(place, self.base ** (-pair / self.dim))
        angles = angles.repeat_interleave(2, dim=-1)
        first, second = x.chunk(2, dim=-1)
        other = torch.cat([-second, first], dim=-1)
        return x * angles.cos() + other * angles.sin()
