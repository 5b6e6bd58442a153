"""Right: an attention of four axes is passed to the layer that projects,
and a mask is an object that has one."""

import math

import torch
from torch import nn


class CausalMask:
    def __init__(self, batch, length):
        square = torch.ones(length, length, dtype=torch.bool)
        self._mask = square.triu(1).expand(batch, 1, length, length)

    @property
    def mask(self):
        return self._mask


class _DotProductAttention(nn.Module):
    def __init__(self, mask_flag=False, attention_dropout=0.1):
        super().__init__()
        self.mask_flag = mask_flag
        self.dropout = nn.Dropout(attention_dropout)

    def forward(self, queries, keys, values, attn_mask):
        b, t, _, width = queries.shape
        scores = torch.einsum("bthd,bshd->bhts", queries, keys)
        if self.mask_flag:
            if attn_mask is None:
                attn_mask = CausalMask(b, t)
            scores = scores.masked_fill(attn_mask.mask, float("-inf"))
        weights = (scores / math.sqrt(width)).softmax(dim=-1)
        return torch.einsum(
            "bhts,bshd->bthd", self.dropout(weights), values
        )


class AttentionLayer(nn.Module):
    def __init__(self, attention, d_model, n_heads):
        super().__init__()
        self.attention, self.n_heads = attention, n_heads
        self.to_queries = nn.Linear(d_model, d_model)
        self.to_keys = nn.Linear(d_model, d_model)
        self.to_values = nn.Linear(d_model, d_model)
        self.to_out = nn.Linear(d_model, d_model)

    def forward(self, queries, keys, values, attn_mask):
        heads = self.n_heads, queries.shape[-1] // self.n_heads
        context = self.attention(
            self.to_queries(queries).unflatten(2, heads),
            self.to_keys(keys).unflatten(2, heads),
            self.to_values(values).unflatten(2, heads),
            attn_mask,
        )
        return self.to_out(context.flatten(2))
