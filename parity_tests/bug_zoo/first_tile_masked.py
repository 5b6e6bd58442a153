"""A query whose first tile is fully masked gets NaN, from -inf minus -inf.

Origin: pytorch/pytorch pull request 130014, which mends exp(-inf - (-inf))
in the CPU's flash attention.

Cause: a masked first tile gives NaN
"""

from math import inf, sqrt

import numpy as np

TILE = 4


def scaled_dot_product_attention(query, key, value, mask=None):
    """The same in memory that does not grow with queries times keys.

    Keys are taken tile by tile. What was summed up so far is scaled down
    whenever a tile has a greater maximum. `mask` is True where a query
    may attend to a key.
    """
    queries, keys = query.shape[-2], key.shape[-2]
    allowed = np.ones((queries, keys), dtype=bool)
    if mask is not None:
        allowed = np.broadcast_to(mask, (*mask.shape[:-2], queries, keys))
    scaled = query / sqrt(query.shape[-1])

    maximum = np.full((queries, 1), -inf, dtype=query.dtype)
    total = np.zeros((queries, 1), dtype=query.dtype)
    summed = np.zeros((queries, value.shape[-1]), dtype=value.dtype)
    for start in range(0, keys, TILE):
        tile = slice(start, start + TILE)
        scores = scaled @ key[..., tile, :].swapaxes(-2, -1)
        scores = np.where(allowed[..., tile], scores, -inf)
        highest = scores.max(axis=-1, keepdims=True)
        greater = np.maximum(maximum, highest)
        shrink = np.exp(maximum - greater)
        exponentials = np.exp(scores - greater)
        total = total * shrink + exponentials.sum(axis=-1, keepdims=True)
        summed = summed * shrink + exponentials @ value[..., tile, :]
        maximum = greater
    return summed / np.where(total == 0, 1, total)
