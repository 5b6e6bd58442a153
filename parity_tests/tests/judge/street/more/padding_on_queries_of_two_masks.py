"""Wrong: of two masks, the one of padding hides queries, not keys."""

import math

import torch
from torch import nn


class MultiHeadedAttention(nn.Module):
    def __init__(self, h, d_model, dropout=0.1):
        super().__init__()
        self.h = h
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query, key, value, pad_mask=None, seq_mask=None):
        """多头注意力

        query, key, value: (batch, len, d_model)
        pad_mask: (batch, len_k), 1 表示真实词, 0 表示填充
        seq_mask: (len_q, len_k), 1 表示可以看
        """
        q, k, v = (
            layer(x).unflatten(-1, (self.h, -1)).transpose(1, 2)
            for layer, x in zip(
                (self.query, self.key, self.value),
                (query, key, value),
                strict=True,
            )
        )
        scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(
            q.size(-1)
        )
        if pad_mask is not None:
            hidden = pad_mask[:, None, :, None] == 0
            scores = scores.masked_fill(hidden, -1e9)
        if seq_mask is not None:
            scores = scores.masked_fill(seq_mask == 0, -1e9)
        weights = self.dropout(scores.softmax(dim=-1))
        return self.out((weights @ v).transpose(1, 2).flatten(2))
