"""Wrong: repeat, which takes the key heads in turn."""

import torch
from torch import nn
from torch.nn import functional as F


class GroupedQueryAttention(nn.Module):
    """Query heads share a key head with their neighbours."""

    def __init__(self, dim, n_heads, n_kv_heads):
        super().__init__()
        self.d_head = dim // n_heads
        self.n_rep = n_heads // n_kv_heads
        self.wq = nn.Linear(dim, dim, bias=False)
        self.wk = nn.Linear(dim, n_kv_heads * self.d_head, bias=False)
        self.wv = nn.Linear(dim, n_kv_heads * self.d_head, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)

    def heads(self, x: torch.Tensor):
        return x.unflatten(-1, (-1, self.d_head)).transpose(1, 2)

    def forward(self, x):
        q, k, v = map(self.heads, (self.wq(x), self.wk(x), self.wv(x)))
        k = k.repeat(1, self.n_rep, 1, 1)
        v = v.repeat(1, self.n_rep, 1, 1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.wo(out.transpose(1, 2).flatten(2))
