"""Wrong: copies of all key heads stand one after the other, so that a key
head meets query heads of other groups. `groups` counts the key heads."""

import torch
from torch import nn


class GroupedQueries(nn.Module):
    def __init__(self, d_model, num_heads, groups):
        super().__init__()
        self.num_heads, self.groups = num_heads, groups
        d_head = d_model // num_heads
        self.q = nn.Linear(d_model, d_model, bias=False)
        self.k = nn.Linear(d_model, groups * d_head, bias=False)
        self.v = nn.Linear(d_model, groups * d_head, bias=False)
        self.o = nn.Linear(d_model, d_model, bias=False)

    def shared(self, a):
        copies = self.num_heads // self.groups
        return torch.cat([a] * copies, dim=2)

    def forward(self, x):
        q = self.q(x).unflatten(-1, (self.num_heads, -1))
        k = self.shared(self.k(x).unflatten(-1, (self.groups, -1)))
        v = self.shared(self.v(x).unflatten(-1, (self.groups, -1)))
        scores = torch.einsum("bihd,bjhd->bhij", q, k)
        weights = (scores / q.shape[-1] ** 0.5).softmax(dim=-1)
        y = torch.einsum("bhij,bjhd->bihd", weights, v)
        return self.o(y.flatten(2))
