"""Epsilon is added to the deviation, after the root was taken.

Origin: codertimo/BERT-pytorch issue 30 (taken over from the Annotated
Transformer, says its author), and hkproj/pytorch-transformer pull request
31.

Cause: epsilon outside the root
"""

import numpy as np


def layer_norm(x, params, epsilon):
    """The features of each token, with mean 0 and variance 1, rescaled."""
    mean = x.mean(axis=-1, keepdims=True)
    variance = x.var(axis=-1, keepdims=True)
    normalised = (x - mean) / (np.sqrt(variance) + epsilon)
    return normalised * params.weight + params.bias
