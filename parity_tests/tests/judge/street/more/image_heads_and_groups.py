"""Heads over the positions of an image; eight groups, and a residual."""

import torch
from torch import nn


class AttentionBlock(nn.Module):
    def __init__(self, dim, num_heads=4):
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.GroupNorm(8, dim)
        self.qkv = nn.Conv2d(dim, dim * 3, 1, bias=False)
        self.to_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).chunk(3, dim=1)
        q, k, v = (
            part.reshape(b, self.num_heads, c // self.num_heads, h * w)
            for part in qkv
        )
        scores = torch.einsum("bhdi,bhdj->bhij", q, k)
        weights = (scores * (c // self.num_heads) ** -0.5).softmax(dim=-1)
        out = torch.einsum("bhij,bhdj->bhdi", weights, v)
        return self.to_out(out.reshape(b, c, h, w)) + x
