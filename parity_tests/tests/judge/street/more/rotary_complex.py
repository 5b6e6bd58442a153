"""Right: queries and keys are complex numbers, turned by those of a table
that the caller has; fewer heads of keys."""

import torch
from torch import nn


def rotated(x, freqs_cis):
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    table = freqs_cis.view(1, x.shape[1], 1, -1)
    return torch.view_as_real(pairs * table).flatten(-2)


class CausalSelfAttention(nn.Module):
    def __init__(self, dim, n_heads, n_kv_heads):
        super().__init__()
        self.n_heads, self.n_kv_heads = n_heads, n_kv_heads
        self.head_dim = dim // n_heads
        narrow = n_kv_heads * self.head_dim
        self.wq = nn.Linear(dim, dim, bias=False)
        self.wk = nn.Linear(dim, narrow, bias=False)
        self.wv = nn.Linear(dim, narrow, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)

    def forward(self, x, freqs_cis):
        b, t, _ = x.shape
        q = rotated(self.wq(x).view(b, t, -1, self.head_dim), freqs_cis)
        k = rotated(self.wk(x).view(b, t, -1, self.head_dim), freqs_cis)
        v = self.wv(x).view(b, t, -1, self.head_dim)
        share = self.n_heads // self.n_kv_heads
        k = k.repeat_interleave(share, dim=2)
        v = v.repeat_interleave(share, dim=2)
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))
        scores = q @ k.transpose(-2, -1) / self.head_dim**0.5
        future = torch.ones(t, t, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -torch.inf).softmax(dim=-1)
        return self.wo((weights @ v).transpose(1, 2).reshape(b, t, -1))
