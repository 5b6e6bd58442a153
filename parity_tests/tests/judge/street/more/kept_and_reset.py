"""Right: the layer keeps keys and values itself, until it is reset."""

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads):
        super().__init__()
        self.num_heads, self.d_out = num_heads, d_out
        self.W_query = nn.Linear(d_in, d_out)
        self.W_key = nn.Linear(d_in, d_out)
        self.W_value = nn.Linear(d_in, d_out)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        future = torch.ones(context_length, context_length).triu(1).bool()
        self.register_buffer("future", future, persistent=False)
        self.register_buffer("cache_k", None, persistent=False)
        self.register_buffer("cache_v", None, persistent=False)
        self.position = 0

    def reset_cache(self):
        self.cache_k = self.cache_v = None
        self.position = 0

    def forward(self, x, use_cache=False):
        b, t, _ = x.shape
        shape = b, t, self.num_heads, self.d_out // self.num_heads
        queries = self.W_query(x).view(shape)
        keys = self.W_key(x).view(shape)
        values = self.W_value(x).view(shape)
        begin = 0
        if use_cache:
            if self.cache_k is not None:
                keys = torch.cat([self.cache_k, keys], dim=1)
                values = torch.cat([self.cache_v, values], dim=1)
            self.cache_k, self.cache_v = keys, values
            begin = self.position
            self.position += t
        q, k, v = (z.transpose(1, 2) for z in (queries, keys, values))
        scores = q @ k.transpose(2, 3)
        hidden = self.future[begin : begin + t, : k.shape[2]]
        scores = scores.masked_fill(hidden, -torch.inf)
        weights = torch.softmax(scores / k.shape[-1] ** 0.5, dim=-1)
        context = (self.dropout(weights) @ v).transpose(1, 2)
        return self.out_proj(context.reshape(b, t, self.d_out))
