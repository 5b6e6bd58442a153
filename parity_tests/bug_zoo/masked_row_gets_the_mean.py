"""A fully masked row gets the mean of all values.

Masked scores are set to the least finite number; in a row of nothing else
all are equal, and the softmax spreads the weight over the masked keys.

Origin: NVIDIA/apex issue 1390, ScaledMaskedSoftmax "wrong behavior when
all keys are masked".

Cause: a fully masked row gets the mean of the masked values
"""

from math import sqrt

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
    scores = query @ key.swapaxes(-2, -1) / sqrt(query.shape[-1])
    scores = np.where(allowed, scores, np.finfo(scores.dtype).min)
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return weights @ value
