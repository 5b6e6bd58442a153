"""Wrong: the exponent is i/d where it should be 2i/d."""

import torch
from torch import nn


class RotaryPositionalEmbedding(nn.Module):
    def __init__(self, theta: float, d_k: int, max_seq_len: int):
        super().__init__()
        pair = torch.arange(d_k // 2, dtype=torch.float64)
        places = torch.arange(max_seq_len, dtype=torch.float64)
        angles = torch.outer(places, theta ** -(pair / d_k))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x, token_positions):
        cos, sin = self.cos[token_positions], self.sin[token_positions]
        first, second = x[..., 0::2], x[..., 1::2]
        both = first * cos - second * sin, first * sin + second * cos
        return torch.stack(both, dim=-1).flatten(-2)
