"""Right: queries and keys in halves, by a part of a longer table."""

import torch


def rotate_half(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


def apply_rotary_pos_emb(q, k, cos, sin, offset: int = 0):
    """q, k: (batch, heads, tokens, d); cos, sin: (1, 1, positions, d)"""
    rows = slice(offset, offset + q.shape[-2])
    cos, sin = cos[..., rows, :], sin[..., rows, :]
    turned = [x * cos + rotate_half(x) * sin for x in (q, k)]
    return tuple(turned)
