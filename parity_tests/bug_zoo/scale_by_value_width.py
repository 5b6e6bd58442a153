"""The scores are divided by the root of the width of the values.

Origin: relative of juho-lee/set_transformer issue 18, where the scale is
1/sqrt(dim_V), the width of the values (of all heads, as well).

Cause: the width of the values in place of that of the keys
"""

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
    scale = value.shape[-1] ** -0.5
    scores = query @ key.transpose(-2, -1) * scale
    fully_masked = ~allowed.any(dim=-1, keepdim=True)
    scores = scores.masked_fill(~allowed & ~fully_masked, -torch.inf)
    weights = torch.softmax(scores, dim=-1).masked_fill(fully_masked, 0)
    return weights @ value
