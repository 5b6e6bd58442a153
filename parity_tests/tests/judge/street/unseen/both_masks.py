"""Two masks at once: what lies ahead, and padding; both act."""

import torch
from torch import nn


class DecoderAttention(nn.Module):
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
        hidden = torch.zeros(
            b, 1, t, t, dtype=torch.bool, device=src.device
        )
        if src_mask is not None:
            hidden = hidden | src_mask
        if src_key_padding_mask is not None:
            hidden = hidden | src_key_padding_mask[:, None, None, :]
        scores = (q @ k.mT) / k.shape[-1] ** 0.5
        scores = scores.masked_fill(hidden, float("-inf"))
        out = torch.softmax(scores, dim=-1) @ v
        return self.out_proj(out.transpose(1, 2).flatten(2))
