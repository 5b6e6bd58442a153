"""Wrong: a boolean mask is added, where an additive one belongs."""

import torch.nn.functional as F


def attn(q, k, v, mask=None):
    """mask: True for pairs that take part in attention"""
    bias = 0 if mask is None else mask
    return F.softmax(q @ k.mT / q.size(-1) ** 0.5 + bias, dim=-1) @ v
