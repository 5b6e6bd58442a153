"""A token sees those before it, but not itself (the first one excepted).

Origin: no public report of it as a bug found; seen in exercises.
(pytorch/pytorch issue 143287 builds this very mask on purpose, first token
included, where it avoids NaN; pytorch/tutorials issue 2250 takes it for
the right one.)

Cause: the diagonal is masked
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
        future = torch.ones(context_length, context_length).triu()
        future[0, 0] = 0
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
