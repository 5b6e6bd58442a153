"""Each head is a layer of its own; their results stand side by side.

The first form that courses show. There is no output projection.
"""

import torch
from torch import nn


class CausalAttention(nn.Module):
    """Each token of x (batch, tokens, d_in) looks at those up to it."""

    def __init__(
        self, d_in, d_out, context_length, dropout, qkv_bias=False
    ):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.dropout = nn.Dropout(dropout)
        future = torch.ones(context_length, context_length).triu(1)
        self.register_buffer("mask", future.bool())

    def forward(self, x):
        tokens = x.shape[1]
        queries = self.W_query(x)
        keys = self.W_key(x)
        values = self.W_value(x)
        scores = queries @ keys.transpose(1, 2) / keys.shape[-1] ** 0.5
        future = self.mask[:tokens, :tokens]
        scores = scores.masked_fill(future, -torch.inf)
        weights = self.dropout(torch.softmax(scores, dim=-1))
        return weights @ values


class MultiHeadAttentionWrapper(nn.Module):
    """Several heads of d_out features: num_heads * d_out come out."""

    def __init__(
        self,
        d_in,
        d_out,
        context_length,
        dropout,
        num_heads,
        qkv_bias=False,
    ):
        super().__init__()
        self.heads = nn.ModuleList(
            CausalAttention(d_in, d_out, context_length, dropout, qkv_bias)
            for _ in range(num_heads)
        )

    def forward(self, x):
        return torch.cat([head(x) for head in self.heads], dim=-1)
