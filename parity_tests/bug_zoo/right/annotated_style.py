"""Query, key and value are given apart, and a mask with them.

In the style of the Annotated Transformer; serves as cross-attention, too.
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

    def in_heads(self, x):
        return x.unflatten(-1, (self.h, self.d_k)).transpose(1, 2)

    def forward(self, query, key, value, mask=None):
        query = self.in_heads(self.query(query))
        key = self.in_heads(self.key(key))
        value = self.in_heads(self.value(value))

        scores = query @ key.transpose(-2, -1) / math.sqrt(self.d_k)
        if mask is not None:
            masked = (mask == 0).unsqueeze(1)
            fully_masked = masked.all(dim=-1, keepdim=True)
            scores = scores.masked_fill(masked & ~fully_masked, -math.inf)
            weights = scores.softmax(dim=-1).masked_fill(fully_masked, 0)
        else:
            weights = scores.softmax(dim=-1)
        context = self.dropout(weights) @ value
        return self.output(context.transpose(1, 2).flatten(2))
