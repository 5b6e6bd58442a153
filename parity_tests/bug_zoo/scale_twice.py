"""The query is scaled by the caller, and once more by the library.

Origin: huggingface/transformers pull request 38290, "Scaling has been
applied twice to OPT"; also AI-Hypercomputer/maxtext issue 3138.

Cause: the scale is applied twice
"""

import torch
from torch.nn import functional


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    """For each query, the weighted mean of the values it may see.

    `mask` is True where a query may attend to a key. With `is_causal` a
    query sees the keys up to its own; the last query stands at the last
    key (aligned bottom-right). A query that may attend to nothing gets
    zeros.
    """
    scaled = query * query.shape[-1] ** -0.5
    queries, keys = query.shape[-2], key.shape[-2]
    if is_causal:
        past = torch.ones(
            queries, keys, dtype=torch.bool, device=query.device
        ).tril(keys - queries)
        mask = past if mask is None else mask & past
    return functional.scaled_dot_product_attention(
        scaled, key, value, attn_mask=mask
    )
