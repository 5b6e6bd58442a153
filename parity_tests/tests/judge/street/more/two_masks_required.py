"""Right: two masks are required, of other axes, and heads are stacked
along the batch."""

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, hidden_units, head_num, dropout=0.0):
        super().__init__()
        self.d_head = hidden_units // head_num
        self.query_layer = nn.Linear(hidden_units, hidden_units)
        self.key_layer = nn.Linear(hidden_units, hidden_units)
        self.value_layer = nn.Linear(hidden_units, hidden_units)
        self.dropout = nn.Dropout(dropout)

    def stacked(self, x):
        return torch.cat(x.split(self.d_head, dim=-1), dim=0)

    def forward(self, queries, keys, pad_mask, attn_mask):
        """
        queries, keys: (users, tokens, width)
        pad_mask: (users, tokens), True for padding
        attn_mask: (tokens, tokens), True where a key is not allowed
        """
        heads = queries.shape[-1] // self.d_head
        q = self.stacked(self.query_layer(queries))
        k = self.stacked(self.key_layer(keys))
        v = self.stacked(self.value_layer(keys))
        scores = q @ k.transpose(1, 2) / self.d_head**0.5
        hidden = pad_mask.unsqueeze(1).expand(-1, queries.shape[1], -1)
        hidden = hidden.repeat(heads, 1, 1) | attn_mask
        scores = scores.masked_fill(hidden, -1e30)
        out = self.dropout(scores.softmax(dim=-1)) @ v
        return torch.cat(out.chunk(heads, dim=0), dim=-1)
