"""Right: cosines and sines come in one by one, each number twice, and the
second half of the features is paired with the first."""

import torch
import torch.nn.functional as F
from torch import nn


def build_rope(head_dim, length):
    rates = 500.0 ** (-torch.arange(0, head_dim, 2) / head_dim)
    angles = torch.arange(length)[:, None] * rates
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def swapped(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


class MultiHeadAttention(nn.Module):
    def __init__(self, hidden_size, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(hidden_size, hidden_size)
        self.k_proj = nn.Linear(hidden_size, hidden_size)
        self.v_proj = nn.Linear(hidden_size, hidden_size)
        self.o_proj = nn.Linear(hidden_size, hidden_size)

    def heads(self, x):
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, x, cos, sin, attention_mask=None):
        q = self.heads(self.q_proj(x))
        k = self.heads(self.k_proj(x))
        v = self.heads(self.v_proj(x))
        q = q * cos + swapped(q) * sin
        k = k * cos + swapped(k) * sin
        out = F.scaled_dot_product_attention(q, k, v, attention_mask)
        return self.o_proj(out.transpose(1, 2).flatten(-2))
