"""For (batch, heads, tokens, d), and a mask without the heads."""

import torch


def dot_product(query, key, value, mask=None):
    """mask: (batch, query, key), 0 where a key is hidden."""
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key)
    scores = scores / query.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask[:, None] == 0, -1e9)
    return scores.softmax(dim=-1) @ value
