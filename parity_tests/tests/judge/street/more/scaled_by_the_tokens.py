"""Wrong: the second axis of the keys is how many there are, not d_k."""

import math

import torch


def scaled_dot_product_attention(query, key, value, mask=None):
    """query, key and value are (batch, tokens, d_k)."""
    d_k = key.shape[1]
    scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(d_k)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    weights = torch.softmax(scores, dim=-1)
    return torch.matmul(weights, value), weights
