"""Right: the sizes are those of the class that it inherits from, which
asks a configuration for them; its own constructor passes all on."""

import torch
from torch import nn


class _AttentionBase(nn.Module):
    def __init__(self, options_of_model, dropout=0.0):
        super().__init__()
        width = options_of_model.decoder_embed_dim
        self.heads = options_of_model.decoder_attention_heads
        self.to_query = nn.Linear(width, width)
        self.to_key = nn.Linear(width, width)
        self.to_value = nn.Linear(width, width)
        self.to_out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def in_heads(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x):
        raise NotImplementedError("by those that inherit")


class CausalSelfAttention(_AttentionBase):
    def __init__(self, *args, window=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.window = window

    def forward(self, x):
        q = self.in_heads(self.to_query(x))
        k = self.in_heads(self.to_key(x))
        v = self.in_heads(self.to_value(x))
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        seen = torch.ones(x.shape[1], x.shape[1]).tril() > 0
        weights = scores.where(seen, -torch.inf).softmax(dim=-1)
        context = self.dropout(weights) @ v
        return self.to_out(context.transpose(1, 2).flatten(2))
