"""The filled scores are thrown away: masked_fill works on a copy.

Origin: facebookresearch/ParlAI pull request 3068, "Fix masked_fill no-op";
also lucidrains/flamingo-pytorch issue 10.

Cause: the mask has no effect
"""

import math

import torch


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    """For each query, the weighted mean of the values it may see.

    `mask` is True where a query may attend to a key. With `is_causal` a
    query sees the keys up to its own; the last query stands at the last
    key (aligned bottom-right). A query that may attend to nothing gets
    zeros.
    """
    queries, keys = query.shape[-2], key.shape[-2]
    allowed = torch.ones(
        queries, keys, dtype=torch.bool, device=query.device
    )
    if is_causal:
        allowed = allowed.tril(keys - queries)
    if mask is not None:
        allowed = allowed & mask
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    fully_masked = ~allowed.any(dim=-1, keepdim=True)
    scores.masked_fill(~allowed & ~fully_masked, -torch.inf)
    weights = torch.softmax(scores, dim=-1).masked_fill(fully_masked, 0)
    return weights @ value
