"""Grouped-query attention: a key head serves neighbouring query heads."""

import torch


def grouped_query_attention(q, k, v, mask=None):
    """q (batch, heads, tokens, d); k and v may have fewer heads.

    `mask` is True where a query may attend to a key.
    """
    share = q.size(1) // k.size(1)
    k = torch.repeat_interleave(k, share, dim=1)
    v = torch.repeat_interleave(v, share, dim=1)
    logits = q @ k.mT * q.size(-1) ** -0.5
    if mask is not None:
        logits = torch.where(mask, logits, -torch.inf)
    return logits.softmax(dim=-1).nan_to_num() @ v
