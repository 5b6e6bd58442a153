"""Queries go through the keys' weights; their own are never used.

Origin: no public report found; seen in exercises. (The same slip with
values: yflyzhang/AnnotatedTransformer issue 1)

Cause: queries go through the key projection
"""

import torch
from torch import nn


class SelfAttention(nn.Module):
    """Each token of x (batch, tokens, d_in) looks at all tokens."""

    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        queries = self.W_key(x)
        keys = self.W_key(x)
        values = self.W_value(x)
        scores = queries @ keys.transpose(-2, -1)
        weights = torch.softmax(scores / keys.shape[-1] ** 0.5, dim=-1)
        return weights @ values
