"""Each part's log-sum-exp lacks the maximum that was subtracted before.

Origin: Dao-AILab/flash-attention issue 404, where a reader of split keys
finds that log sum exp(x - max) cannot be merged.

Cause: the log-sum-exp of a part lacks its maximum
"""

import math

import torch

PART = 4


def attend(query, key, value, allowed):
    """The context of some keys, and the log-sum-exp of their scores."""
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    scores = scores.masked_fill(~allowed, -torch.inf)
    maximum = scores.amax(dim=-1, keepdim=True)
    maximum = maximum.clamp(min=torch.finfo(scores.dtype).min)
    exponentials = torch.exp(scores - maximum)
    total = exponentials.sum(dim=-1, keepdim=True)
    return exponentials @ value / total.clamp(min=1), torch.log(total)


def scaled_dot_product_attention(
    query, key, value, mask=None, is_causal=False
):
    """The same in memory that does not grow with queries times keys.

    Keys are taken part by part, as if on several devices, and the parts
    are merged. `mask` is True where a query may attend to a key. With
    `is_causal` a query sees the keys up to its own; the last query stands
    at the last key (aligned bottom-right). A query that may attend to
    nothing gets zeros.
    """
    queries, keys = query.shape[-2], key.shape[-2]
    allowed = torch.ones(
        queries, keys, dtype=torch.bool, device=query.device
    )
    if is_causal:
        allowed = allowed.tril(keys - queries)
    if mask is not None:
        allowed = allowed & mask
    contexts, logarithms = [], []
    for start in range(0, keys, PART):
        part = slice(start, start + PART)
        context, logarithm = attend(
            query,
            key[..., part, :],
            value[..., part, :],
            allowed[..., part],
        )
        contexts.append(context)
        logarithms.append(logarithm)

    logarithms = torch.stack(logarithms)
    whole = torch.logsumexp(logarithms, dim=0)
    whole = whole.clamp(min=torch.finfo(query.dtype).min)
    shares = torch.exp(logarithms - whole)
    return (shares * torch.stack(contexts)).sum(dim=0)
