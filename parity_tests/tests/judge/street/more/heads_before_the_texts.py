"""Wrong with a mask: heads go into the batch head by head, and each text's
mask is repeated at once."""

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads, self.d_head = n_heads, d_model // n_heads
        self.to_q = nn.Linear(d_model, d_model)
        self.to_k = nn.Linear(d_model, d_model)
        self.to_v = nn.Linear(d_model, d_model)
        self.to_out = nn.Linear(d_model, d_model)

    def fold(self, x):  # (b, t, h * d) -> (h * b, t, d)
        b, t, _ = x.shape
        x = x.reshape(b, t, self.n_heads, self.d_head).permute(2, 0, 1, 3)
        return x.reshape(self.n_heads * b, t, self.d_head)

    def forward(self, x, mask=None):
        """mask: (batch, query, key), True where a query may attend."""
        b, t, _ = x.shape
        q, k, v = (
            self.fold(w(x)) for w in (self.to_q, self.to_k, self.to_v)
        )
        scores = torch.bmm(q, k.transpose(1, 2)) / self.d_head**0.5
        if mask is not None:
            mask = mask.repeat_interleave(self.n_heads, dim=0)
            scores = scores.masked_fill(~mask, float("-inf"))
        out = torch.bmm(torch.softmax(scores, dim=-1), v)
        out = out.view(self.n_heads, b, t, -1).permute(1, 2, 0, 3)
        return self.to_out(out.reshape(b, t, -1))
