"""Decoding: one query, without an axis of its own, against the cache."""

import torch


def attend_step(q, k_cache, v_cache):
    """q: (batch, heads, d); k_cache, v_cache: (batch, heads, past, d)"""
    scores = torch.einsum("bhd,bhtd->bht", q, k_cache) / q.size(-1) ** 0.5
    return torch.einsum("bht,bhtd->bhd", scores.softmax(-1), v_cache)
