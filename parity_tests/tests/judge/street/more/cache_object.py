"""Right: its cache is an object of a class of its own, which every call
gets, and which tells where the new tokens stand."""

import torch
from torch import nn
from torch.nn import functional as F


class LayerCache:
    def __init__(self):
        self.k = self.v = None

    def __len__(self):
        return 0 if self.k is None else self.k.shape[2]

    def update(self, k, v):
        if self.k is not None:
            k, v = torch.cat([self.k, k], 2), torch.cat([self.v, v], 2)
        self.k, self.v = k, v
        return k, v


def rope(x, positions):
    half = x.shape[-1] // 2
    rates = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = positions.double()[:, None] * rates
    cos, sin = angles.cos().to(x), angles.sin().to(x)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class CachedAttention(nn.Module):
    def __init__(self, d_model, n_head):
        super().__init__()
        self.n_head = n_head
        self.wqkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.wo = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None):
        b, t, c = x.shape
        q, k, v = (
            z.view(b, t, self.n_head, -1).transpose(1, 2)
            for z in self.wqkv(x).chunk(3, dim=-1)
        )
        begin = 0 if cache is None else len(cache)
        positions = torch.arange(begin, begin + t)
        q, k = rope(q, positions), rope(k, positions)
        if cache is not None:
            k, v = cache.update(k, v)
        s = k.shape[2]
        seen = torch.ones(t, s, dtype=torch.bool).tril(s - t)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.wo(y.transpose(1, 2).reshape(b, t, c))
