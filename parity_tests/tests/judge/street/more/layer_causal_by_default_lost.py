"""Wrong: a mask is taken, and the causal one put in its place."""

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, d_model):
        super().__init__()
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)

    def forward(self, x, mask=None):
        """x: (batch, tokens, d_model); mask is True where it may attend"""
        mask = torch.tril(torch.ones(x.shape[1], x.shape[1])).bool()
        q, k, v = self.query(x), self.key(x), self.value(x)
        scores = q @ k.transpose(1, 2) / k.shape[-1] ** 0.5
        scores = scores.masked_fill(mask.logical_not(), float("-inf"))
        return torch.softmax(scores, dim=-1) @ v
