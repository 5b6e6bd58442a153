"""A class whose optional mask is a bias: 0 keeps a key, -inf hides it."""

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, width, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, hidden_states, attention_bias=None):
        """`attention_bias` is added to the scores: 0 or -inf."""
        split = (self.n_heads, -1)
        q = self.query(hidden_states).unflatten(-1, split).transpose(1, 2)
        k = self.key(hidden_states).unflatten(-1, split).transpose(1, 2)
        v = self.value(hidden_states).unflatten(-1, split).transpose(1, 2)
        logits = torch.einsum("bhqd,bhkd->bhqk", q, k) * q.shape[-1] ** -0.5
        if attention_bias is not None:
            logits = logits + attention_bias
        context = logits.softmax(dim=-1) @ v
        return self.output(context.transpose(1, 2).flatten(2))
