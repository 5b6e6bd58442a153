"""Wrong: the key heads are repeated in turn, not each next to itself."""

import torch


def grouped_query_attention(q, k, v, mask=None):
    """q (batch, heads, tokens, d); k and v may have fewer heads.

    `mask` is True where a query may attend to a key.
    """
    share = q.size(1) // k.size(1)
    k = torch.cat([k] * share, dim=1)
    v = torch.cat([v] * share, dim=1)
    logits = q @ k.mT * q.size(-1) ** -0.5
    if mask is not None:
        logits = torch.where(mask, logits, -torch.inf)
    return logits.softmax(dim=-1).nan_to_num() @ v
