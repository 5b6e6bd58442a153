"""Epsilon is added to the root mean square, after the root was taken.

Origin: EleutherAI/gpt-neox pull request 1342 (weights of Llama then give
other numbers), allenai/OLMo issue 281, and an example of
tile-ai/tilelang, mended by pull request 1243.

Cause: epsilon outside the root
"""

import numpy as np


def rms_norm(x, params, epsilon):
    """The features of each token, with a root mean square of 1."""
    size = np.sqrt((x**2).mean(axis=-1, keepdims=True))
    return params.weight * (x / (size + epsilon))
