"""Wrong: heads of keys are repeated all in turn. It turns queries and keys
of its own, as complex numbers, from where its cache ends."""

import torch
from torch import nn
from torch.nn import functional as F


def as_turned(x, begin, theta=10_000.0):
    rates = torch.arange(0, x.shape[-1], 2, dtype=x.dtype) / x.shape[-1]
    places = begin + torch.arange(x.shape[-2], dtype=x.dtype)
    angles = torch.outer(places, theta**-rates)
    turns = torch.polar(torch.ones_like(angles), angles)
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turns).flatten(-2)


class GroupedAttention(nn.Module):
    def __init__(self, d_model, n_heads, n_kv_heads):
        super().__init__()
        self.width = d_model // n_heads
        narrow = self.width * n_kv_heads
        self.shared = n_heads // n_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, narrow, bias=False)
        self.v_proj = nn.Linear(d_model, narrow, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def heads(self, x):
        return x.unflatten(-1, (-1, self.width)).transpose(1, 2)

    def forward(self, x, past_kv=None):
        begin = 0 if past_kv is None else past_kv[0].shape[2]
        q = as_turned(self.heads(self.q_proj(x)), begin)
        k = as_turned(self.heads(self.k_proj(x)), begin)
        v = self.heads(self.v_proj(x))
        if past_kv is not None:
            k = torch.cat([past_kv[0], k], dim=2)
            v = torch.cat([past_kv[1], v], dim=2)
        kept = k, v
        k, v = (a.repeat(1, self.shared, 1, 1) for a in kept)
        seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool)
        context = F.scaled_dot_product_attention(
            q, k, v, attn_mask=seen.tril(begin)
        )
        return self.o_proj(context.transpose(1, 2).flatten(2)), kept
