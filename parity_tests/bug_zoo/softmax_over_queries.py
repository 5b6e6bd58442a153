"""Each key's weights sum to 1 over the queries, not each query's over keys.

Origin: labmlai/annotated_deep_learning_paper_implementations issue 146, in
the attention of the DDPM U-Net ("a big bug", says its author); also
nerminnuraydogan/vision-transformer issue 1, in a notebook that teaches
vision transformers.

Cause: softmax over the query axis
"""

from math import sqrt

import numpy as np


def scaled_dot_product_attention(query, key, value):
    """For each query, the mean of the values, weighted by its scores."""
    scores = query @ key.swapaxes(-2, -1) / sqrt(query.shape[-1])
    shifted = scores - scores.max(axis=-2, keepdims=True)
    exponentials = np.exp(shifted)
    weights = exponentials / exponentials.sum(axis=-2, keepdims=True)
    return weights @ value
