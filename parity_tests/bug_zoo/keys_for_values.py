"""The weights average the keys; the values are never looked at.

Origin: fchollet/deep-learning-with-python-notebooks issue 261, in the
multi_head_attention of chapter 15: the last product takes key where value
belongs.

Cause: keys are averaged in place of values
"""

import math

import torch


def scaled_dot_product_attention(query, key, value):
    """For each query, the mean of the values, weighted by its scores."""
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = torch.softmax(scores, dim=-1)
    return weights @ key
