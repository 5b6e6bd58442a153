"""The greatest score of all keys is subtracted, masked ones included.

When a masked key has by far the greatest score, the exponentials of the
others all become 0.

Origin: allenai/allennlp pull request 437, "large elements outside the mask
messing up the softmax".

Cause: the maximum is taken over masked keys, too
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
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    exponentials = np.where(allowed, exponentials, 0)
    total = exponentials.sum(axis=-1, keepdims=True)
    weights = exponentials / np.where(total == 0, 1, total)
    return weights @ value
