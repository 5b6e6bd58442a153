"""Wrong with a cache: what is new is joined along the batch, and a view
makes tokens of it."""

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, embed_dim, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.out = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, kv_cache=None):
        b, t, d = x.shape
        k, v = self.key(x), self.value(x)
        if kv_cache is not None:
            k = torch.cat((kv_cache[0], k), dim=0)
            v = torch.cat((kv_cache[1], v), dim=0)
            k, v = k.reshape(b, -1, d), v.reshape(b, -1, d)
        shape = (b, -1, self.n_heads, d // self.n_heads)
        q, kh, vh = (
            z.view(shape).transpose(1, 2) for z in (self.query(x), k, v)
        )
        s = kh.shape[2]
        mask = torch.full((t, s), float("-inf"), dtype=x.dtype)
        scores = q @ kh.transpose(2, 3) / (d // self.n_heads) ** 0.5
        scores = scores + torch.triu(mask, diagonal=s - t + 1)
        y = (torch.softmax(scores, dim=-1) @ vh).transpose(1, 2)
        return self.out(y.reshape(b, t, d)), (k, v)
