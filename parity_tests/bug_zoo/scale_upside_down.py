"""The scores are multiplied by the root of d, in place of divided by it.

Origin: esceptico/perceiver-io issue 9, where the scale, d to the power
-1/2, divides in place of multiplying; shipped in a package.

Cause: sqrt(d) in place of 1/sqrt(d)
"""

import torch


def scaled_dot_product_attention(query, key, value):
    """For each query, the mean of the values, weighted by its scores."""
    scale = query.shape[-1] ** -0.5
    scores = query @ key.transpose(-2, -1) / scale
    weights = torch.softmax(scores, dim=-1)
    return weights @ value
