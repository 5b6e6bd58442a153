"""Heads by einsum, where the division by the root of d was left out.

Origin: ethen8181/machine-learning issue 13, a MultiHeadAttention that
"does not implement the scale".

Cause: the scale is missing
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
        """(batch, tokens, d_out) to (batch, tokens, heads, head_dim)."""
        return projected.unflatten(-1, (self.num_heads, self.head_dim))

    def forward(self, x):
        tokens = x.shape[1]
        queries = self.split(self.W_query(x))
        keys = self.split(self.W_key(x))
        values = self.split(self.W_value(x))

        scores = torch.einsum("bqhd,bkhd->bhqk", queries, keys)
        future = self.mask[:tokens, :tokens]
        scores = scores.masked_fill(future, -torch.inf)
        weights = self.dropout(torch.softmax(scores, dim=-1))

        context = torch.einsum("bhqk,bkhd->bqhd", weights, values)
        return self.out_proj(context.flatten(2))
