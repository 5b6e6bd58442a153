"""Heads of 8 features each, so that the width is a multiple of 8."""

import torch
from torch import nn


class SelfAttention2d(nn.Module):
    def __init__(self, channels):
        super().__init__()
        if channels % 8:
            raise ValueError(
                f"channels must be a multiple of 8: {channels}"
            )
        self.heads = channels // 8
        self.qkv = nn.Linear(channels, channels * 3)
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, 8)).unbind(-3)
        weight = torch.einsum("bthc,bshc->bhts", q * 8**-0.25, k * 8**-0.25)
        weight = weight.softmax(dim=-1)
        a = torch.einsum("bhts,bshc->bthc", weight, v)
        return self.proj_out(a.flatten(-2))
