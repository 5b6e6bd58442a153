"""Masked scores are set to -10000, which large scores can undercut.

Origin: karpathy/minGPT issue 75, where a model learned to drive its scores
below the fill and read the future; also huggingface/transformers issue
14859.

Cause: fill of -1e4 in place of -inf
"""

import math

import torch


def scaled_dot_product_attention(query, key, value, mask):
    """For each query, the weighted mean of the values it may see.

    `mask` is True where a query may attend to a key. A query that may
    attend to nothing gets zeros.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    fully_masked = ~mask.any(dim=-1, keepdim=True)
    scores = scores.masked_fill(~mask, -1e4)
    weights = torch.softmax(scores, dim=-1).masked_fill(fully_masked, 0)
    return weights @ value
