"""The weights come back first; dropout is a layer, or nothing."""

import math

import torch
import torch.nn.functional as F


def attn(query, key, value, dropout=None, mask=None):
    """mask: 1 for positions to keep, 0 for positions to hide."""
    logits = torch.matmul(query, key.transpose(-2, -1))
    logits = logits / math.sqrt(query.size(-1))
    if mask is not None:
        logits = logits.masked_fill(mask.eq(0), -1e9)
    weights = F.softmax(logits, dim=-1)
    if dropout is not None:
        weights = dropout(weights)
    return weights, torch.matmul(weights, value)
