"""Masked keys lose their weight after the softmax, and no other gets it.

Origin: huggingface/pytorch-image-models pull request 2236, "the mask should
be applied before the softmax", in the attention of EVA.

Cause: mask after softmax, not normalised again
"""

from math import sqrt

import numpy as np


def scaled_dot_product_attention(query, key, value, mask=None):
    """For each query, the weighted mean of the values it may see.

    `mask` is True where a query may attend to a key.
    """
    scores = query @ key.swapaxes(-2, -1) / sqrt(query.shape[-1])
    shifted = scores - scores.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    if mask is not None:
        weights = np.where(mask, weights, 0)
    return weights @ value
