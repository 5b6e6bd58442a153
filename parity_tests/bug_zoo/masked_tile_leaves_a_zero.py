"""A masked tile's maximum is set to 0, and stays the greatest from then on.

When all scores that count lie far below 0, their exponentials become 0.

Origin: Dao-AILab/flash-attention issue 2082, "incorrect row max in certain
cases resulting in zeroed heads".

Cause: the maximum of a masked tile becomes 0
"""

from math import inf, sqrt

import numpy as np

TILE = 4


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    """The same in memory that does not grow with queries times keys.

    Keys are taken tile by tile. `mask` is True where a query may attend
    to a key. With `is_causal` a query sees the keys up to its own; the
    last query stands at the last key (aligned bottom-right). A query that
    may attend to nothing gets zeros.
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
        finite = np.where(highest == -inf, 0, highest)
        greater = np.maximum(maximum, finite)
        shrink = np.exp(maximum - greater)
        exponentials = np.exp(scores - greater)
        total = total * shrink + exponentials.sum(axis=-1, keepdims=True)
        summed = summed * shrink + exponentials @ value[..., tile, :]
        maximum = greater
    return summed / np.where(total == 0, 1, total)
