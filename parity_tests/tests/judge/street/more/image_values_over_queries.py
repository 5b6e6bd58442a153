"""The same, and values are summed over the queries."""

import torch
from torch import nn


class AttnBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        normed = self.norm(x)
        q = self.q(normed).reshape(b, c, h * w)
        k = self.k(normed).reshape(b, c, h * w)
        v = self.v(normed).reshape(b, c, h * w)
        scores = torch.bmm(q.transpose(1, 2), k) * c**-0.5
        weights = scores.softmax(dim=2)
        out = torch.bmm(v, weights).reshape(b, c, h, w)
        return x + self.proj_out(out)
