"""Scores are dropped before the softmax, where weights should be after it.

A dropped score is 0, which is a score like any other; at evaluation there
is nothing to see.

Origin: PaddlePaddle/Parakeet pull request 74, "apply dropout to logits
before softmax", taken back by its pull request 75.

Cause: dropout before the softmax
"""

import torch
from torch import nn


class CausalAttention(nn.Module):
    """Causal attention in one head, for x (batch, tokens, d_in)."""

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
        scores = self.dropout(scores)
        future = self.mask[:tokens, :tokens]
        scores = scores.masked_fill(future, -torch.inf)
        return torch.softmax(scores, dim=-1) @ values
