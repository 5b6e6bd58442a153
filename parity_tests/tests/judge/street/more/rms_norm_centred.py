"""Wrong: the mean is subtracted first, as in layer norm."""

import torch
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, d_model, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.g = nn.Parameter(torch.ones(d_model))

    def forward(self, x):
        x = x - x.mean(dim=-1, keepdim=True)
        size = (x.pow(2).mean(dim=-1, keepdim=True) + self.eps).sqrt()
        return self.g * (x / size)
