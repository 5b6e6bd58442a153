"""Saved by an editor that puts a byte-order mark first."""

import torch.nn.functional as F


def attention(queries, keys, values):
    logits = queries @ keys.mT / keys.size(-1) ** 0.5
    return F.softmax(logits, dim=-1) @ values
