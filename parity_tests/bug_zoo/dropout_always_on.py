"""Weights are dropped at evaluation, too: F.dropout does not know.

Origin: rixwew/pytorch-fm issue 21, F.dropout of the attention scores
without training=self.training.

Cause: dropout left on at evaluation
"""

import torch
from torch import nn
from torch.nn import functional


class CausalAttention(nn.Module):
    """Each token of x (batch, tokens, d_in) looks at those up to it."""

    def __init__(
        self, d_in, d_out, context_length, dropout, qkv_bias=False
    ):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.dropout = dropout
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
        weights = torch.softmax(scores, dim=-1)
        weights = functional.dropout(weights, p=self.dropout)
        return weights @ values
