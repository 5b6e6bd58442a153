"""PyTorch's own function, with one mask made of both.

Its zeros for a query that may attend to nothing came with PyTorch 2.5.
"""

import torch
from torch.nn import functional


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    """For each query, the weighted mean of the values it may see.

    `mask` is True where a query may attend to a key. With `is_causal` a
    query sees the keys up to its own; the last query stands at the last
    key. A query that may attend to nothing gets zeros.
    """
    queries, keys = query.shape[-2], key.shape[-2]
    if is_causal:
        past = torch.ones(
            queries, keys, dtype=torch.bool, device=query.device
        ).tril(keys - queries)
        mask = past if mask is None else mask & past
    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask
    )
