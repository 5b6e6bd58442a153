"""Wrong: 8 is the root of 64, the head size in the paper."""

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, embed_size, heads):
        super().__init__()
        self.heads = heads
        self.queries = nn.Linear(embed_size, embed_size)
        self.keys = nn.Linear(embed_size, embed_size)
        self.values = nn.Linear(embed_size, embed_size)
        self.fc_out = nn.Linear(embed_size, embed_size)

    def forward(self, values, keys, query):
        shape = (self.heads, -1)
        v = self.values(values).unflatten(-1, shape)
        k = self.keys(keys).unflatten(-1, shape)
        q = self.queries(query).unflatten(-1, shape)
        energy = torch.einsum("nqhd,nkhd->nhqk", q, k)
        attention = torch.softmax(energy / 8.0, dim=3)
        out = torch.einsum("nhql,nlhd->nqhd", attention, v)
        return self.fc_out(out.flatten(2))
