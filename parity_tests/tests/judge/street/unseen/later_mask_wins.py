"""Wrong: where both masks are given, padding is seen again."""

import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, d_model, nhead):
        super().__init__()
        self.nhead = nhead
        self.in_proj = nn.Linear(d_model, 3 * d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def forward(self, src, src_mask=None, src_key_padding_mask=None):
        """src_mask (query, key) and src_key_padding_mask (batch, key) are
        boolean; True means that a key is not attended to.
        """
        b, t, d = src.shape
        qkv = self.in_proj(src).view(b, t, 3, self.nhead, d // self.nhead)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = (q @ k.mT) / k.shape[-1] ** 0.5
        if src_mask is not None:
            hidden = src_mask
        elif src_key_padding_mask is not None:
            hidden = src_key_padding_mask[:, None, None, :]
        else:
            hidden = torch.zeros(t, t, dtype=torch.bool)
        out = scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v
        return self.out_proj(out.transpose(1, 2).flatten(2))
