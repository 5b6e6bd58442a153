"""The bias of the output layer is added once for each head.

Origin: relative of huggingface/text-generation-inference issue 1036, where
each of several processes adds it before their results are summed.

Cause: the output bias is added several times
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
        batch, tokens, _ = projected.shape
        heads = projected.view(batch, tokens, self.num_heads, self.head_dim)
        return heads.transpose(1, 2)

    def forward(self, x):
        tokens = x.shape[1]
        queries = self.split(self.W_query(x))
        keys = self.split(self.W_key(x))
        values = self.split(self.W_value(x))

        scores = queries @ keys.transpose(2, 3) / self.head_dim**0.5
        future = self.mask[:tokens, :tokens]
        scores = scores.masked_fill(future, -torch.inf)
        weights = torch.softmax(scores, dim=-1)
        weights = self.dropout(weights)

        context = weights @ values
        columns = self.out_proj.weight.split(self.head_dim, dim=1)
        return sum(
            nn.functional.linear(
                context[:, head], columns[head], self.out_proj.bias
            )
            for head in range(self.num_heads)
        )
