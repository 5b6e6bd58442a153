"""Right: a class with tables, looked up by positions, in float64."""

import torch
from torch import nn


class RoPE(nn.Module):
    def __init__(self, head_dim, max_len=128, base=500_000.0):
        super().__init__()
        even = torch.arange(0, head_dim, 2, dtype=torch.float64)
        places = torch.arange(max_len, dtype=torch.float64)
        angles = torch.outer(places, base ** -(even / head_dim))
        self.register_buffer("cos", angles.cos().tile(1, 2))
        self.register_buffer("sin", angles.sin().tile(1, 2))

    def forward(self, q, k, position_ids):
        """q, k: (batch, tokens, heads, head_dim)"""
        cos, sin = self.cos[position_ids], self.sin[position_ids]
        cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
        return self.turn(q, cos, sin), self.turn(k, cos, sin)

    def turn(self, x, cos, sin):
        half = x.shape[-1] // 2
        other = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
        return x * cos + other * sin
