"""Right: one layer makes queries, values and keys, in this order."""

import torch
from torch import nn


class MultiHeadSelfAttention(nn.Module):
    def __init__(self, adim, aheads):
        super().__init__()
        self.adim, self.aheads = adim, aheads
        self.qvk = nn.Linear(adim, 3 * adim)
        self.mix_out = nn.Linear(adim, adim)

    def forward(self, frames, keep=None):
        # keep: (batch, frames), 1 for a frame and 0 for padding
        b, t, _ = frames.shape
        q, v, k = (
            part.view(b, t, self.aheads, -1).transpose(1, 2)
            for part in torch.split(self.qvk(frames), self.adim, dim=-1)
        )
        scores = q @ k.transpose(2, 3) / k.shape[-1] ** 0.5
        if keep is not None:
            padding = keep.view(b, 1, 1, t) < 0.5
            scores = scores.masked_fill(padding, -float("inf"))
        context = scores.softmax(dim=-1) @ v
        context = context.transpose(1, 2).reshape(b, t, self.adim)
        return self.mix_out(context)
