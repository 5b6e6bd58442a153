"""Each token is divided by the reciprocal root: multiplied by its size.

Origin: mosaicml/llm-foundry issue 371, where `x / torch.rsqrt(...)` made
training diverge; mended by pull request 372.

Cause: multiplied by the root mean square, not divided
"""

import numpy as np


def rms_norm(x, params, epsilon):
    """The features of each token, with a root mean square of 1."""
    reciprocal = 1 / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon)
    return x / reciprocal * params.weight
