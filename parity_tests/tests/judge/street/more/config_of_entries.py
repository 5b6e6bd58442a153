"""A configuration that is a dict with attributes, as in many a notebook."""

from torch import nn


class Config(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


settings = Config(d_hidn=48, n_head=4, d_head=12, dropout=0.1, i_pad=0)


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        inner = config.n_head * config.d_head
        self.W_Q = nn.Linear(config.d_hidn, inner)
        self.W_K = nn.Linear(config.d_hidn, inner)
        self.W_V = nn.Linear(config.d_hidn, inner)
        self.linear = nn.Linear(inner, config.d_hidn)
        self.dropout = nn.Dropout(config.dropout)

    def split(self, x):
        sizes = self.config.n_head, self.config.d_head
        return x.unflatten(-1, sizes).transpose(1, 2)

    def forward(self, Q, K, V, attn_mask):
        """attn_mask: (batch, queries, keys), True where a key is padding"""
        q, k, v = self.W_Q(Q), self.W_K(K), self.W_V(V)
        q, k, v = self.split(q), self.split(k), self.split(v)
        scores = q @ k.mT * self.config.d_head**-0.5
        padding = attn_mask.unsqueeze(1)
        scores = scores.masked_fill(padding, -1e9)
        weights = scores.softmax(dim=-1)
        context = (self.dropout(weights) @ v).transpose(1, 2).flatten(2)
        return self.linear(context), weights
