"""The boolean mask is added to the scores: 1 where allowed, 0 where not.

Origin: huggingface/diffusers issue 14342, where a boolean mask reaches the
slot of an additive bias; also huggingface/transformers pull request 41443,
for Qwen3's eager attention.

Cause: a 0/1 mask is added
"""

import math

import torch


def scaled_dot_product_attention(query, key, value, mask=None):
    """For each query, the weighted mean of the values it may see.

    `mask` is True where a query may attend to a key.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores + mask
    weights = torch.softmax(scores, dim=-1)
    return weights @ value
