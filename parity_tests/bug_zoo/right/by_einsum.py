"""Products are written as sums over named axes.

The weights are divided after the values were summed, which is the same.
"""

from math import inf

import numpy as np


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    """For each query, the weighted mean of the values it may see.

    `mask` is True where a query may attend to a key. With `is_causal` a
    query sees the keys up to its own; the last query stands at the last
    key. A query that may attend to nothing gets zeros.
    """
    scale = query.shape[-1] ** -0.5
    scores = np.einsum("...qd,...kd->...qk", query, key) * scale
    masked = np.zeros(scores.shape[-2:], dtype=bool)
    if is_causal:
        queries, keys = masked.shape
        position = np.arange(keys - queries, keys)
        masked = np.arange(keys) > position[:, None]
    if mask is not None:
        masked = masked | ~mask
    scores = np.where(masked, -inf, scores)

    highest = scores.max(axis=-1, keepdims=True)
    highest = np.where(np.isfinite(highest), highest, 0)
    exponentials = np.exp(scores - highest)
    total = np.einsum("...qk->...q", exponentials)[..., None]
    summed = np.einsum("...qk,...kv->...qv", exponentials, value)
    return np.divide(
        summed, total, out=np.zeros_like(summed), where=total > 0
    )
