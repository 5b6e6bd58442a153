"""Wrong: weights times mask, and what is left sums to less than 1."""

import torch
from torch import nn


class MaskedAttention(nn.Module):
    def __init__(self, n_heads, d_model):
        super().__init__()
        self.n_heads, self.d_k = n_heads, d_model // n_heads
        self.linear_q = nn.Linear(d_model, d_model)
        self.linear_k = nn.Linear(d_model, d_model)
        self.linear_v = nn.Linear(d_model, d_model)
        self.linear_out = nn.Linear(d_model, d_model)

    def forward(self, q, k, v, mask):
        """mask: (batch, 1, query, key), 1 to keep and 0 to hide"""
        shape = (self.n_heads, self.d_k)
        q = self.linear_q(q).unflatten(-1, shape).transpose(1, 2)
        k = self.linear_k(k).unflatten(-1, shape).transpose(1, 2)
        v = self.linear_v(v).unflatten(-1, shape).transpose(1, 2)
        attn = torch.softmax(q @ k.mT / self.d_k**0.5, dim=-1)
        attn = attn * mask
        return self.linear_out((attn @ v).transpose(1, 2).flatten(2))
