"""Masked keys get the score 0, which is a score like any other.

Origin: georg-wolflein/good-features pull request 1, which shows with
numbers that a score times 0 is still attended to.

Cause: scores times mask: 0 in place of -inf
"""

import math

import torch


def scaled_dot_product_attention(query, key, value, mask):
    """For each query, the weighted mean of the values it may see.

    `mask` is True where a query may attend to a key. A query that may
    attend to nothing gets zeros.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = torch.softmax(scores * mask, dim=-1)
    weights = weights * mask.any(dim=-1, keepdim=True)
    return weights @ value
