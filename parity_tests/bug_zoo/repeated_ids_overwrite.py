"""A token that occurs twice gets the gradient of one place only.

Origin: HIPS/autograd issue 39 and pytorch/pytorch issue 1631, for gather's
gradient.

Cause: repeated ids are not summed
"""

import numpy as np


def token_embedding_backward(d_embedded, ids, params):
    """Each token adds to its row, as often as it occurs."""
    d_weight = np.zeros_like(params.weight)
    d_weight[ids] += d_embedded
    return type(params)(d_weight)
