"""Causal heads, from arguments of the command line."""

import torch
from torch import nn


class CausalSelfAttention(nn.Module):
    def __init__(self, args):
        super().__init__()
        width, self.n_heads = args.attn_embed_dim, args.attn_n_heads
        assert width % self.n_heads == 0
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.out_proj = nn.Linear(width, width)
        self.drop = nn.Dropout(args.attn_drop_rate)

    def forward(self, x):
        b, t, d = x.shape
        shape = (b, t, self.n_heads, d // self.n_heads)
        q = self.q_proj(x).view(shape).transpose(1, 2)
        k = self.k_proj(x).view(shape).transpose(1, 2)
        v = self.v_proj(x).view(shape).transpose(1, 2)
        scores = q @ k.transpose(-2, -1) / q.size(-1) ** 0.5
        future = torch.ones(t, t, dtype=torch.bool).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
        weights = self.drop(scores.softmax(dim=-1))
        return self.out_proj((weights @ v).transpose(1, 2).reshape(b, t, d))
