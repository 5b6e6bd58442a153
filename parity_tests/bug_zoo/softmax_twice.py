"""A softmax is taken of the weights, which are a softmax already.

Origin: huggingface/transformers pull request 31322, "FLAVA: Remove double
softmax".

Cause: the softmax is taken twice
"""

from math import inf, sqrt

import numpy as np


def softmax(scores):
    """Numbers above 0 that sum to 1 along the last axis."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def compare(query, key, allowed):
    """How well each key fits each query."""
    scores = query @ key.swapaxes(-2, -1) / sqrt(query.shape[-1])
    masked = ~allowed & allowed.any(axis=-1, keepdims=True)
    return softmax(np.where(masked, -inf, scores))


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
    weights = softmax(compare(query, key, allowed))
    weights = np.where(allowed.any(axis=-1, keepdims=True), weights, 0)
    return weights @ value
