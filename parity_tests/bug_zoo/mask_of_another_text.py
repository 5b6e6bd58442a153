"""Masks are tiled over the heads, so that texts get each other's mask.

Batch and heads are one axis, with the heads of a text side by side; the
masks must be repeated one by one to fit.

Origin: ArrowLuo/CLIP4Clip issue 22 and line/lighthouse pull request 77,
repeat in place of repeat_interleave.

Cause: masks are repeated in the wrong order
"""

import math

from torch import nn


class MultiHeadedAttention(nn.Module):
    """Attention in h heads, after Vaswani et al. 2017, section 3.2.2.

    `mask` (batch or 1, queries or 1, keys) is True, or not 0, where a
    query may attend to a key.
    """

    def __init__(self, h, d_model, dropout=0.1):
        super().__init__()
        if d_model % h != 0:
            raise ValueError("expected h to divide d_model")
        self.h = h
        self.d_k = d_model // h
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.output = nn.Linear(d_model, d_model)
        self.dropout = nn.Dropout(dropout)

    def fold(self, x):
        """(batch, tokens, d_model) to (batch * h, tokens, d_k)."""
        heads = x.unflatten(-1, (self.h, self.d_k)).transpose(1, 2)
        return heads.flatten(0, 1)

    def forward(self, query, key, value, mask=None):
        batch = query.shape[0]
        query = self.fold(self.query(query))
        key = self.fold(self.key(key))
        value = self.fold(self.value(value))

        scores = query @ key.transpose(-2, -1) / math.sqrt(self.d_k)
        if mask is not None:
            masked = (mask == 0).expand(batch, -1, -1)
            masked = masked.repeat(self.h, 1, 1)
            fully_masked = masked.all(dim=-1, keepdim=True)
            scores = scores.masked_fill(masked & ~fully_masked, -math.inf)
            weights = scores.softmax(dim=-1).masked_fill(fully_masked, 0)
        else:
            weights = scores.softmax(dim=-1)
        context = (self.dropout(weights) @ value).unflatten(0, (batch, -1))
        return self.output(context.transpose(1, 2).flatten(2))
