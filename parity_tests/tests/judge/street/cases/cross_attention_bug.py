"""Wrong: keys and values are made from the query's tokens."""

import torch
from torch import nn


class CrossAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.d_head = d_model // n_heads
        self.q_linear = nn.Linear(d_model, d_model)
        self.k_linear = nn.Linear(d_model, d_model)
        self.v_linear = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)

    def heads(self, x):
        split = x.reshape(*x.shape[:2], self.n_heads, self.d_head)
        return split.permute(0, 2, 1, 3)

    def forward(self, q, k, v, mask=None):
        queries = self.heads(self.q_linear(q))
        keys = self.heads(self.k_linear(q))
        values = self.heads(self.v_linear(q))
        logits = queries @ keys.mT * self.d_head**-0.5
        if mask is not None:
            logits = logits.masked_fill(mask == 0, -torch.inf)
        context = logits.softmax(-1) @ values
        return self.out(context.permute(0, 2, 1, 3).flatten(2))
