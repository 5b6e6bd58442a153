"""SAGAN's block: no scale, and a learned number that begins at 0."""

import torch
from torch import nn


class SelfAttention2d(nn.Module):
    def __init__(self, in_dim):
        super().__init__()
        narrow = in_dim // 8
        self.query_conv = nn.Conv2d(in_dim, narrow, kernel_size=1)
        self.key_conv = nn.Conv2d(in_dim, narrow, kernel_size=1)
        self.value_conv = nn.Conv2d(in_dim, in_dim, kernel_size=1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        query = self.query_conv(x).flatten(2).transpose(1, 2)
        key = self.key_conv(x).flatten(2)
        value = self.value_conv(x).flatten(2)
        attention = torch.bmm(query, key).softmax(dim=-1)
        out = torch.bmm(value, attention.transpose(1, 2))
        return self.gamma * out.view(x.shape) + x, attention
