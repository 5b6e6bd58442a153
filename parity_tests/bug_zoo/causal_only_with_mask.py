"""Without a mask of the caller's, the causal one is forgotten as well.

Origin: facebookresearch/xformers issue 103, "causal mask is skipped if no
att_mask is passed".

Cause: causal is applied only when a mask is given
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
    allowed = np.ones((queries, keys), dtype=bool)
    if mask is not None:
        if is_causal:
            past = np.tri(queries, keys, keys - queries, dtype=bool)
            mask = mask & past
        allowed = allowed & mask
    weights = masked_softmax(scores, allowed)
    return weights @ value
