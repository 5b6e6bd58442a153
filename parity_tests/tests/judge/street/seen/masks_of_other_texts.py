"""Wrong: valid lengths are repeated in turn, so texts mix them up."""

import math

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, num_hiddens, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.W_q = nn.LazyLinear(num_hiddens, bias=False)
        self.W_k = nn.LazyLinear(num_hiddens, bias=False)
        self.W_v = nn.LazyLinear(num_hiddens, bias=False)
        self.W_o = nn.LazyLinear(num_hiddens, bias=False)

    def fold(self, X):
        X = X.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        return X.flatten(0, 1)

    def forward(self, queries, keys, values, valid_lens=None):
        """valid_lens: (batch,), the number of keys that are no padding"""
        q, k = self.fold(self.W_q(queries)), self.fold(self.W_k(keys))
        v = self.fold(self.W_v(values))
        scores = torch.bmm(q, k.transpose(1, 2)) / math.sqrt(q.shape[-1])
        if valid_lens is not None:
            valid_lens = valid_lens.repeat(self.num_heads)
            padding = torch.arange(k.shape[1]) >= valid_lens[:, None, None]
            scores = scores.masked_fill(padding, -1e6)
        out = torch.bmm(scores.softmax(-1), v)
        out = out.unflatten(0, (-1, self.num_heads)).transpose(1, 2)
        return self.W_o(out.flatten(2))
