"""All is computed in float64, and the result is cast back.

More exact than asked for; the dtype that comes out is the one that came in.
"""

from math import inf, sqrt

import numpy as np


def masked_softmax(scores, mask):
    """Weights over the keys that may be attended to; else zeros."""
    allowed = np.where(mask, scores, -inf)
    maximum = allowed.max(axis=-1, keepdims=True)
    exponentials = np.exp(allowed - np.where(maximum == -inf, 0, maximum))
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    """For each query, the weighted mean of the values it may see.

    `mask` is True where a query may attend to a key. With `is_causal` a
    query sees the keys up to its own; the last query stands at the last
    key, so that earlier keys may come from a cache.
    """
    dtype = query.dtype
    query, key, value = (
        array.astype(np.float64) for array in (query, key, value)
    )
    scores = query @ key.swapaxes(-2, -1) / sqrt(query.shape[-1])
    queries, keys = scores.shape[-2:]
    allowed = np.ones((queries, keys), dtype=bool)
    if is_causal:
        allowed = np.tri(queries, keys, keys - queries, dtype=bool)
    if mask is not None:
        allowed = allowed & mask
    weights = masked_softmax(scores, allowed)
    return (weights @ value).astype(dtype)
