"""Wrong: the scale is that of all heads; what was skipped is hidden."""

import torch
from torch import nn


class HistoryAttention(nn.Module):
    """Plays attend to those before them, and to themselves.

    keep: (users, plays), True for real plays; what was skipped is seen by
    none, and comes out as zeros.
    """

    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(d_model, d_model)
        self.k = nn.Linear(d_model, d_model)
        self.v = nn.Linear(d_model, d_model)

    def forward(self, queries, keys, keep):
        q, k, v = (
            part(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part, x in (
                (self.q, queries),
                (self.k, keys),
                (self.v, keys),
            )
        )
        scores = q @ k.mT / keys.shape[-1] ** 0.5
        plays = torch.arange(keys.shape[1])
        before = plays[None, :] <= plays[:, None]
        seen = before & keep[:, None, None, :]
        weights = scores.masked_fill(~seen, -1e9).softmax(dim=-1)
        output = (weights @ v).transpose(1, 2).flatten(2)
        return output * keep[..., None]
