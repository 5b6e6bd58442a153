"""Masked scores are set to -1e-9, which is nearly 0, where -1e9 was meant.

Origin: Shujun-He/RibonanzaNet issue 5, with a picture of the weights that
stay; also awslabs/gluonts pull request 1401, for 1e-9 in the Temporal
Fusion Transformer.

Cause: fill of -1e-9 in place of -1e9
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
    scores = scores.masked_fill(~mask, -1e-9)
    weights = torch.softmax(scores, dim=-1).masked_fill(fully_masked, 0)
    return weights @ value
