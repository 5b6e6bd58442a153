"""The same, and the softmax runs over the queries."""

import math

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(
        self, n_heads, input_dim, embed_dim=None, val_dim=None, key_dim=None
    ):
        super().__init__()
        if val_dim is None:
            assert embed_dim is not None, "expected embed_dim or val_dim"
            val_dim = embed_dim // n_heads
        if key_dim is None:
            key_dim = val_dim
        self.factor = 1 / math.sqrt(key_dim)
        self.W_query = self.matrices(n_heads, input_dim, key_dim)
        self.W_key = self.matrices(n_heads, input_dim, key_dim)
        self.W_value = self.matrices(n_heads, input_dim, val_dim)
        self.W_out = self.matrices(n_heads, val_dim, embed_dim or input_dim)

    def matrices(self, *shape):
        spread = 1 / math.sqrt(shape[-1])
        return nn.Parameter(torch.empty(shape).uniform_(-spread, spread))

    def forward(self, q, h=None, mask=None):
        """mask (batch, query, key): True hides a key."""
        h = q if h is None else h
        query = torch.einsum("bqi,hid->hbqd", q, self.W_query)
        key = torch.einsum("bki,hid->hbkd", h, self.W_key)
        value = torch.einsum("bki,hid->hbkd", h, self.W_value)
        scores = self.factor * query @ key.transpose(-2, -1)
        if mask is not None:
            scores = scores.masked_fill(mask[None], -math.inf)
        weights = scores.softmax(dim=-2)
        return torch.einsum("hbqd,hde->bqe", weights @ value, self.W_out)
