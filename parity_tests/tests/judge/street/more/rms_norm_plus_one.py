"""Right: 1 is added to the weight, which begins at 0, as in Gemma."""

import torch
from torch import nn


class GemmaRMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        normed = x * torch.rsqrt(x.square().mean(-1, True) + self.eps)
        return normed * (1.0 + self.weight)
