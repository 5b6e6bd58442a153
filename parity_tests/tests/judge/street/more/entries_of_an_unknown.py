"""One argument, called as nothing, from whose entries sizes are read."""

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, stuff):
        super().__init__()
        width = stuff["encoder_hidden_dim"]
        self.heads = stuff["encoder_num_heads"]
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        scores = torch.einsum("bhqd,bhkd->bhqk", q, k) * q.shape[-1] ** -0.5
        out = scores.softmax(-1) @ v
        return self.proj(out.transpose(1, 2).flatten(2))
