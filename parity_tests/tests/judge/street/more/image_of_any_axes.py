"""Right: channels come before any number of axes of positions, which a
convolution of one axis goes through; q and k are each scaled."""

import torch
from torch import nn


class PositionsAttention(nn.Module):
    def __init__(self, channels, num_heads=1):
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.GroupNorm(8, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x):
        b, c, *places = x.shape
        flat = x.reshape(b, c, -1)
        qkv = self.qkv(self.norm(flat))
        heads = qkv.reshape(b * self.num_heads, -1, flat.shape[-1])
        q, k, v = heads.chunk(3, dim=1)
        scale = q.shape[1] ** -0.25
        weights = torch.softmax((q * scale).mT @ (k * scale), dim=-1)
        out = self.proj_out((v @ weights.mT).reshape(b, c, -1))
        return (flat + out).reshape(b, c, *places)
