"""Right: several query heads share a key head; both counts have short
names, and one layer makes keys and values."""

import torch
from torch import nn
from torch.nn import functional as F


class SharedKeysAttention(nn.Module):
    def __init__(self, width: int, n_q: int, n_kv: int):
        super().__init__()
        self.n_q, self.n_kv = n_q, n_kv
        self.d = width // n_q
        self.to_q = nn.Linear(width, width)
        self.to_kv = nn.Linear(width, 2 * n_kv * self.d)
        self.to_out = nn.Linear(width, width)

    def one_for_each_query_head(self, a: torch.Tensor) -> torch.Tensor:
        return a.repeat_interleave(self.n_q // self.n_kv, dim=1)

    def forward(self, x):
        q = self.to_q(x).unflatten(-1, (self.n_q, self.d)).transpose(1, 2)
        pair = self.to_kv(x).unflatten(-1, (2, self.n_kv, self.d))
        k, v = (
            self.one_for_each_query_head(a.transpose(1, 2))
            for a in pair.unbind(2)
        )
        y = F.scaled_dot_product_attention(q, k, v)
        return self.to_out(y.transpose(1, 2).flatten(2))
