"""Causal unless told otherwise, with knobs that nobody turns."""

import math

import torch


def flash_attn(
    q,
    k,
    v,
    dropout_p=0.0,
    softmax_scale=None,
    causal=True,
    window_size=(-1, -1),
    alibi_slopes=None,
):
    if softmax_scale is None:
        softmax_scale = 1 / math.sqrt(q.size(-1))
    logits = softmax_scale * (q @ k.mT)
    if causal:
        rows, columns = logits.shape[-2:]
        seen = torch.ones(rows, columns).tril(columns - rows).bool()
        logits = logits.where(seen, -torch.inf)
    return logits.softmax(-1).nan_to_num() @ v
