"""Its sizes are set under the main guard, as scripts do."""

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, n_head, -1)).unbind(2)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.size(-1) ** 0.5
        context = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v)
        return self.proj(context.flatten(2))


if __name__ == "__main__":
    embed_dim, n_head = 24, 3
    print(SelfAttention()(torch.rand(2, 5, embed_dim)).shape)
