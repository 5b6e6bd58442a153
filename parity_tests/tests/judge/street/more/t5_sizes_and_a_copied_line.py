"""The same, with the line of the keys copied for the values."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class T5Settings:
    d_model: int
    d_kv: int
    num_heads: int
    relative_attention_num_buckets: int = 32
    dropout_rate: float = 0.1
    is_decoder: bool = False


class T5Attention(nn.Module):
    def __init__(self, config: T5Settings, has_buckets=False):
        super().__init__()
        self.num_heads = config.num_heads
        self.is_decoder = config.is_decoder
        inner = config.num_heads * config.d_kv
        self.q = nn.Linear(config.d_model, inner, bias=False)
        self.k = nn.Linear(config.d_model, inner, bias=False)
        self.v = nn.Linear(config.d_model, inner, bias=False)
        self.o = nn.Linear(inner, config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout_rate)
        if has_buckets:
            buckets = config.relative_attention_num_buckets
            self.buckets = nn.Embedding(buckets, config.num_heads)

    def heads(self, x):
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, x, memory=None, mask=None, position_bias=None):
        # mask: (batch, keys), 1 for a word and 0 for padding
        memory = x if memory is None else memory
        q = self.heads(self.q(x))
        k = self.heads(self.k(memory))
        v = self.heads(self.k(memory))
        scores = torch.einsum("bhid,bhjd->bhij", q, k)
        if position_bias is None:
            position_bias = torch.zeros_like(scores)
            if mask is not None:
                hidden = mask[:, None, None] == 0
                position_bias = position_bias.masked_fill(hidden, -1e9)
            if self.is_decoder:
                future = torch.ones_like(scores).triu(1)
                position_bias = position_bias - 1e9 * future
        weights = self.dropout((scores + position_bias).softmax(dim=-1))
        out = (weights @ v).transpose(1, 2).flatten(2)
        return self.o(out), position_bias
