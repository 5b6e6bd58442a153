"""Tokens first, keywords only, and each projection has a `.linear`."""

import math

import torch
from torch import nn


class PrepareForMultiHeadAttention(nn.Module):
    def __init__(self, d_model: int, heads: int, d_k: int, bias: bool):
        super().__init__()
        self.linear = nn.Linear(d_model, heads * d_k, bias=bias)
        self.heads, self.d_k = heads, d_k

    def forward(self, x: torch.Tensor):
        return self.linear(x).view(*x.shape[:-1], self.heads, self.d_k)


class MultiHeadAttention(nn.Module):
    def __init__(self, heads: int, d_model: int, dropout_prob: float = 0.1):
        super().__init__()
        d_k = d_model // heads
        self.query = PrepareForMultiHeadAttention(d_model, heads, d_k, True)
        self.key = PrepareForMultiHeadAttention(d_model, heads, d_k, True)
        self.value = PrepareForMultiHeadAttention(d_model, heads, d_k, True)
        self.softmax = nn.Softmax(dim=1)
        self.output = nn.Linear(d_model, d_model)
        self.dropout = nn.Dropout(dropout_prob)
        self.scale = 1 / math.sqrt(d_k)

    def forward(self, *, query, key, value, mask=None):
        """query, key, value: [seq_len, batch_size, d_model]

        mask: [seq_len_q, seq_len_k, batch_size or 1], 0 is not seen
        """
        query, key = self.query(query), self.key(key)
        scores = torch.einsum("ibhd,jbhd->ijbh", query, key) * self.scale
        if mask is not None:
            scores = scores.masked_fill(mask[..., None] == 0, float("-inf"))
        attn = self.dropout(self.softmax(scores))
        x = torch.einsum("ijbh,jbhd->ibhd", attn, self.value(value))
        return self.output(x.reshape(*x.shape[:2], -1))
