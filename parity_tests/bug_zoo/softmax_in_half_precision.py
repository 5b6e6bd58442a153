"""The softmax is taken in float16, whatever came in.

Origin: huggingface/transformers pull request 17437 and
huggingface/transformers pull request 18057, which take the softmax of OPT
and XGLM from float16 to float32 and back.

Cause: softmax in float16
"""

from math import sqrt

import numpy as np


def scaled_dot_product_attention(query, key, value):
    """For each query, the mean of the values, weighted by its scores."""
    scores = query @ key.swapaxes(-2, -1) / sqrt(query.shape[-1])
    dtype = scores.dtype
    scores = scores.astype(np.float16)
    shifted = scores - scores.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return weights.astype(dtype) @ value
