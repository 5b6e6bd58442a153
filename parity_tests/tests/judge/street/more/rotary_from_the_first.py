"""Wrong with its cache only: new tokens are turned as if they were the
first. It is a function of a dict of matrices."""

from collections import namedtuple

import torch

Kept = namedtuple("Kept", ["keys", "values"])


def turned(x):
    width = x.shape[-1]
    rates = 10_000.0 ** (-torch.arange(0, width, 2, dtype=x.dtype) / width)
    angles = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * rates
    cos, sin = angles.cos(), angles.sin()
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def attention(params, x, kv_cache=None, n_heads=4):
    """Causal, with rotary positions."""
    q, k, v = (
        (x @ params[name]).unflatten(-1, (n_heads, -1)).transpose(1, 2)
        for name in ("q", "k", "v")
    )
    q, k = turned(q), turned(k)
    if kv_cache is not None:
        k = torch.cat([kv_cache.keys, k], dim=2)
        v = torch.cat([kv_cache.values, v], dim=2)
    n, m = q.shape[2], k.shape[2]
    scores = q @ k.mT / q.shape[-1] ** 0.5
    seen = torch.ones(n, m, dtype=torch.bool).tril(m - n)
    scores = scores.masked_fill(~seen, -torch.inf)
    y = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
    return y @ params["o"], Kept(k, v)
