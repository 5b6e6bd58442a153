"""Keys are taken tile by tile, with an online softmax.

Milakov and Gimelshein 2018; Dao et al. 2022. A tile may be all masked.
"""

from math import inf, sqrt

import numpy as np

TILE = 4


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    """The same in memory that does not grow with queries times keys.

    Keys are taken tile by tile. What was summed up so far is scaled down
    whenever a tile has a greater maximum. `mask` is True where a query
    may attend to a key. With `is_causal` a query sees the keys up to its
    own; the last query stands at the last key.
    """
    queries, keys = query.shape[-2], key.shape[-2]
    allowed = np.ones((queries, keys), dtype=bool)
    if is_causal:
        allowed = np.tri(queries, keys, keys - queries, dtype=bool)
    if mask is not None:
        allowed = allowed & mask
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
        finite = np.where(greater == -inf, 0, greater)
        shrink = np.exp(maximum - finite)
        exponentials = np.exp(scores - finite)
        total = total * shrink + exponentials.sum(axis=-1, keepdims=True)
        summed = summed * shrink + exponentials @ value[..., tile, :]
        maximum = greater
    return summed / np.where(total == 0, 1, total)
