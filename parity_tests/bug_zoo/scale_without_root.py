"""The scores are divided by the number of features, not by its root.

Origin: no public report of it as a bug found; seen in exercises.
(thegregyang/NTK4A issue 3 asks about the same scale where it is meant.)

Cause: 1/d in place of 1/sqrt(d)
"""

import numpy as np


def scaled_dot_product_attention(query, key, value):
    """For each query, the mean of the values, weighted by its scores."""
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1]
    shifted = scores - scores.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return weights @ value
