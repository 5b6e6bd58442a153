"""The scores are never divided by the root of the number of features.

Origin: delzac/cntkx issue 10, for a scaled_dot_product_attention without
its root, released and then mended; also PAIR-code/tiny-transformers issue
71.

Cause: the scale is missing
"""

import torch


def scaled_dot_product_attention(query, key, value):
    """For each query, the mean of the values, weighted by its scores."""
    scores = query @ key.transpose(-2, -1)
    weights = torch.softmax(scores, dim=-1)
    return weights @ value
