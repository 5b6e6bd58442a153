"""The variance is divided by n - 1, where layer norm divides by n.

Origin: harvardnlp/annotated-transformer pull request 119, on the default of
torch's std; also hyunwoongko/transformer issue 7.

Cause: the variance is the unbiased one
"""

import numpy as np


def layer_norm(x, params, epsilon):
    """The features of each token, with mean 0 and variance 1, rescaled."""
    mean = x.mean(axis=-1, keepdims=True)
    variance = x.var(axis=-1, ddof=1, keepdims=True)
    normalised = (x - mean) / np.sqrt(variance + epsilon)
    return normalised * params.weight + params.bias
