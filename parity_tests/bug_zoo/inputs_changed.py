"""The caller's query is scaled in place, so that it is smaller afterwards.

Origin: pytorch/pytorch pull request 73249, which proposed the in-place
division; its review warns that the query must not be used again, and it was
closed.

Cause: an input is changed
"""

from math import sqrt

import numpy as np


def scaled_dot_product_attention(query, key, value):
    """For each query, the mean of the values, weighted by its scores."""
    query /= sqrt(query.shape[-1])
    scores = query @ key.swapaxes(-2, -1)
    shifted = scores - scores.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return weights @ value
