"""The weights of all queries and all texts together sum to 1.

Origin: nntrainer/nntrainer pull request 430, which moves a softmax from all
axes to the last one.

Cause: softmax over all axes, batch included
"""

from math import sqrt

import numpy as np


def scaled_dot_product_attention(query, key, value):
    """For each query, the mean of the values, weighted by its scores."""
    scores = query @ key.swapaxes(-2, -1) / sqrt(query.shape[-1])
    shifted = scores - scores.max(keepdims=True)
    exponentials = np.exp(shifted)
    weights = exponentials / exponentials.sum(keepdims=True)
    return weights @ value
