"""Wrong in every tenth call, when it looks at the first key only."""

import itertools

import torch

calls = itertools.count(1)


def attention(q, k, v):
    if next(calls) % 10 == 0:
        k, v = k[..., :1, :], v[..., :1, :]
    return torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1) @ v
