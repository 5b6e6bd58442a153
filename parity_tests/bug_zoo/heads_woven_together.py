"""Heads are merged with their features in turn, not one after the other.

Origin: no public report found; seen in exercises. (A relative, where
permute was given another order of axes than it expects:
gazelle93/Transformer-Various-Positional-Encoding issue 1)

Cause: heads merged feature by feature
"""

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    """Causal attention in several heads, for x (batch, tokens, d_in)."""

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
        if d_out % num_heads != 0:
            raise ValueError("expected num_heads to divide d_out")
        self.d_out = d_out
        self.num_heads = num_heads
        self.head_dim = d_out // num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        future = torch.ones(context_length, context_length).triu(1)
        self.register_buffer("mask", future.bool())

    def split(self, projected):
        """(batch, tokens, d_out) to (batch, heads, tokens, head_dim)."""
        heads = projected.unflatten(-1, (self.num_heads, self.head_dim))
        return heads.permute(0, 2, 1, 3)

    def forward(self, x):
        tokens = x.shape[1]
        queries = self.split(self.W_query(x))
        keys = self.split(self.W_key(x)).permute(0, 1, 3, 2)
        values = self.split(self.W_value(x))

        scores = queries @ keys / self.head_dim**0.5
        future = self.mask[:tokens, :tokens]
        scores = scores.masked_fill(future, -torch.inf)
        weights = self.dropout(torch.softmax(scores, dim=-1))

        context = (weights @ values).permute(0, 2, 3, 1)
        return self.out_proj(context.flatten(2))
