"""Wrong: of two masks, the one of padding keeps what it should hide."""

import torch
from torch import nn


class ItemsAttention(nn.Module):
    """
    x: (batch, length, width)
    key_padding_mask: (batch, length), True where an item is padding
    attn_mask: (length, length), True where a key may not be looked at
    """

    def __init__(self, hidden_units, num_heads, dropout_rate):
        super().__init__()
        self.num_heads = num_heads
        self.to_q = nn.Linear(hidden_units, hidden_units)
        self.to_k = nn.Linear(hidden_units, hidden_units)
        self.to_v = nn.Linear(hidden_units, hidden_units)
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, x, key_padding_mask=None, attn_mask=None):
        q, k, v = (
            part(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in (self.to_q, self.to_k, self.to_v)
        )
        scores = q @ k.mT / q.shape[-1] ** 0.5
        lowest = torch.full_like(scores, -(2.0**32))
        if key_padding_mask is not None:
            shown = key_padding_mask[:, None, None, :]
            scores = torch.where(shown, scores, lowest)
        if attn_mask is not None:
            scores = torch.where(attn_mask, lowest, scores)
        weights = self.dropout(scores.softmax(dim=-1))
        return (weights @ v).transpose(1, 2).flatten(2)
