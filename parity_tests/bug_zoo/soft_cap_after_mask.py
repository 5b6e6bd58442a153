"""The soft cap turns the -inf of masked keys into a finite score.

Origin: Dao-AILab/flash-attention pull request 1025, whose review asks for
the cap before the mask, because otherwise masked tokens contribute and the
future leaks.

Cause: soft cap after the mask
"""

import math

import torch

SOFT_CAP = 5.0


def scaled_dot_product_attention(query, key, value, mask):
    """Attention whose scores are kept between -SOFT_CAP and SOFT_CAP.

    As in Gemma 2: s becomes c tanh(s / c). `mask` is True where a query
    may attend to a key. A query that may attend to nothing gets zeros.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    scores = scores.masked_fill(~mask, -torch.inf)
    scores = SOFT_CAP * torch.tanh(scores / SOFT_CAP)
    weights = torch.softmax(scores, dim=-1)
    weights = weights * mask.any(dim=-1, keepdim=True)
    return weights @ value
