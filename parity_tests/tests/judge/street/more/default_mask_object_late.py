"""Wrong: where no mask object is passed, the one that it makes shows one
later token."""

import math

import torch
from torch import nn


class NoFuture:
    def __init__(self, batch, length):
        future = torch.ones(length, length, dtype=torch.bool).triu(2)
        self.mask = future.expand(batch, 1, length, length)


class PlainAttention(nn.Module):
    def __init__(self, use_mask=True, scale=None, dropout=0.1):
        super().__init__()
        self.use_mask, self.scale = use_mask, scale
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries, keys, values, attn_mask=None):
        batch, length, _, width = queries.shape
        scores = torch.einsum("blhe,bshe->bhls", queries, keys)
        if self.use_mask:
            if attn_mask is None:
                attn_mask = NoFuture(batch, length)
            scores = scores.masked_fill(attn_mask.mask, -math.inf)
        scale = self.scale or 1 / math.sqrt(width)
        weights = self.dropout((scale * scores).softmax(-1))
        return torch.einsum("bhls,bshd->blhd", weights, values), None
