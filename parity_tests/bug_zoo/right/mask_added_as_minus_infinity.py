"""The mask becomes 0 and -inf, and is added to the scores.

The additive mask of older libraries, made from a boolean one.
"""

import math

import torch


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    """For each query, the weighted mean of the values it may see.

    `mask` is True where a query may attend to a key. With `is_causal` a
    query sees the keys up to its own; the last query stands at the last
    key. A query that may attend to nothing gets zeros.
    """
    queries, keys = query.shape[-2], key.shape[-2]
    bias = query.new_zeros(queries, keys)
    if is_causal:
        future = torch.full_like(bias, -torch.inf)
        bias = bias + future.triu(keys - queries + 1)
    if mask is not None:
        bias = torch.where(mask, bias, -torch.inf)

    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    fully_masked = (bias == -torch.inf).all(dim=-1, keepdim=True)
    scores = scores + bias.masked_fill(fully_masked, 0)
    weights = torch.softmax(scores, dim=-1).masked_fill(fully_masked, 0)
    return weights @ value
