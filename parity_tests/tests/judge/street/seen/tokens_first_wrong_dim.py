"""Wrong: of (query, key, batch, head), dim=0 is that of the queries."""

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, heads, d_model):
        super().__init__()
        self.shape = (heads, d_model // heads)
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, query, key, value):
        """query, key, value: [seq_len, batch_size, d_model]"""
        q = self.query(query).unflatten(-1, self.shape)
        k = self.key(key).unflatten(-1, self.shape)
        v = self.value(value).unflatten(-1, self.shape)
        scores = torch.einsum("ibhd,jbhd->ijbh", q, k) / q.size(-1) ** 0.5
        attn = scores.softmax(dim=0)
        x = torch.einsum("ijbh,jbhd->ibhd", attn, v)
        return self.output(x.flatten(2))
