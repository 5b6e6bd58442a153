"""The weights are divided by the root of d, where the scores should be.

Origin: FrancescoSaverioZuppichini/ViT issue 2, softmax(energy) * scaling.

Cause: the scale is applied after the softmax
"""

from math import inf, sqrt

import numpy as np


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    """For each query, the weighted mean of the values it may see.

    `mask` is True where a query may attend to a key. With `is_causal` a
    query sees the keys up to its own; the last query stands at the last
    key (aligned bottom-right). A query that may attend to nothing gets
    zeros.
    """
    queries, keys = query.shape[-2], key.shape[-2]
    allowed = np.ones((queries, keys), dtype=bool)
    if is_causal:
        allowed = np.tri(queries, keys, keys - queries, dtype=bool)
    if mask is not None:
        allowed = allowed & mask
    scores = np.where(allowed, query @ key.swapaxes(-2, -1), -inf)
    maximum = scores.max(axis=-1, keepdims=True)
    exponentials = np.exp(scores - np.where(maximum == -inf, 0, maximum))
    total = exponentials.sum(axis=-1, keepdims=True)
    weights = exponentials / np.where(total == 0, 1, total)
    return weights / sqrt(query.shape[-1]) @ value
