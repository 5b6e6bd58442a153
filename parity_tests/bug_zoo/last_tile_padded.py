"""The last tile is filled up with zeros, which are looked at as keys.

A key of zeros has the score 0, and takes weight to a value of zeros.

Origin: relative of jax-ml/jax issue 27224, where results fit only when the
lengths are multiples of the tile; ROCm/triton pull request 409 hides what
lies past the end.

Cause: the padding of the last tile counts as keys
"""

from math import inf, sqrt

import numpy as np

TILE = 4


def pad(array, axis, amount):
    """The array with zeros (or False) after the end of one axis."""
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, amount)
    return np.pad(array, widths)


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
    missing = -keys % TILE
    masked = pad(~allowed, -1, missing)
    key, value = pad(key, -2, missing), pad(value, -2, missing)
    scaled = query / sqrt(query.shape[-1])

    maximum = np.full((queries, 1), -inf, dtype=query.dtype)
    total = np.zeros((queries, 1), dtype=query.dtype)
    summed = np.zeros((queries, value.shape[-1]), dtype=value.dtype)
    for start in range(0, keys, TILE):
        tile = slice(start, start + TILE)
        scores = scaled @ key[..., tile, :].swapaxes(-2, -1)
        scores = np.where(masked[..., tile], -inf, scores)
        highest = scores.max(axis=-1, keepdims=True)
        greater = np.maximum(maximum, highest)
        finite = np.where(greater == -inf, 0, greater)
        shrink = np.exp(maximum - finite)
        exponentials = np.exp(scores - finite)
        total = total * shrink + exponentials.sum(axis=-1, keepdims=True)
        summed = summed * shrink + exponentials @ value[..., tile, :]
        maximum = greater
    return summed / np.where(total == 0, 1, total)
