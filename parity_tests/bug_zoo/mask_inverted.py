"""With is_causal, a query sees the keys after it, and none up to it.

Origin: rasbt/LLMs-from-scratch issue 1061, where a triu mask that means
'hide' is given to a function that reads 'attend'; also
lucidrains/x-transformers issue 160.

Cause: a mask that means hide is read as attend
"""

import math

import torch


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    """For each query, the weighted mean of the values it may see.

    `mask` is True where a query may attend to a key. With `is_causal` a
    query sees the keys up to its own; the last query stands at the last
    key, so that earlier keys may come from a cache. A query that may
    attend to nothing gets zeros.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    queries, keys = scores.shape[-2:]
    allowed = torch.ones(
        queries, keys, dtype=torch.bool, device=query.device
    )
    if is_causal:
        allowed = allowed.triu(keys - queries + 1)
    if mask is not None:
        allowed = allowed & mask
    fully_masked = ~allowed.any(dim=-1, keepdim=True)
    scores = scores.masked_fill(~allowed & ~fully_masked, -torch.inf)
    weights = torch.softmax(scores, dim=-1).masked_fill(fully_masked, 0)
    return weights @ value
