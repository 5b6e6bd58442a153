"""The output layer is called after the step before it: w_concat."""

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, n_dim, n_head):
        super().__init__()
        self.n_head = n_head
        self.w_query = nn.Linear(n_dim, n_dim)
        self.w_key = nn.Linear(n_dim, n_dim)
        self.w_value = nn.Linear(n_dim, n_dim)
        self.w_concat = nn.Linear(n_dim, n_dim)

    def split(self, tensor):
        batch, length, n_dim = tensor.size()
        shape = (batch, length, self.n_head, n_dim // self.n_head)
        return tensor.view(shape).transpose(1, 2)

    def concat(self, tensor):
        return tensor.transpose(1, 2).flatten(start_dim=2)

    def forward(self, query, key, value, mask=None):
        query = self.split(self.w_query(query))
        key = self.split(self.w_key(key))
        value = self.split(self.w_value(value))
        score = query @ key.transpose(2, 3) / query.size(-1) ** 0.5
        if mask is not None:
            score = score.masked_fill(mask == 0, -1e9)
        context = torch.softmax(score, dim=-1) @ value
        return self.w_concat(self.concat(context))
