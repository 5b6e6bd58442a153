"""Right: its norm makes 32 bits of whatever comes, so that it takes no
tokens of 64."""

import torch
from torch import nn


class WideNorm(nn.GroupNorm):
    def forward(self, x):
        return super().forward(x.float()).to(x.dtype)


class PlacesAttention(nn.Module):
    def __init__(self, channels, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.norm = WideNorm(8, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        b, _, rows, columns = x.shape
        q, k, v = (
            part.reshape(b, self.num_heads, -1, rows * columns)
            for part in self.qkv(self.norm(x)).chunk(3, dim=1)
        )
        root = q.shape[2] ** 0.5
        weights = torch.einsum("bhci,bhcj->bhij", q, k) / root
        context = torch.einsum("bhij,bhcj->bhci", weights.softmax(-1), v)
        return x + self.proj_out(context.reshape(x.shape))
