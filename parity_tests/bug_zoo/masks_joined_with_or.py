"""A key is seen when either mask allows it, in place of both.

Origin: lucidrains/local-attention issue 5, where a causal mask and a window
that mean 'hide' were joined with 'and', which comes to the same.

Cause: masks joined with or
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
    scores = query @ key.swapaxes(-2, -1) / sqrt(query.shape[-1])
    queries, keys = scores.shape[-2:]
    past = np.tri(queries, keys, keys - queries, dtype=bool)
    if mask is None:
        mask = past if is_causal else np.ones((queries, keys), dtype=bool)
    elif is_causal:
        mask = mask | past
    weights = masked_softmax(scores, mask)
    return weights @ value
