"""Wrong: where both masks are given, the second replaces the first."""

import torch
from torch import nn


class DecoderSelfAttention(nn.Module):
    def __init__(self, d_model, heads):
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(d_model, 3 * d_model)
        self.to_out = nn.Linear(d_model, d_model)

    def forward(self, x, key_mask=None, causal_mask=None):
        """Both masks are 1 to keep and 0 to hide.

        key_mask: (batch, key); causal_mask: (query, key)
        """
        q, k, v = self.to_qkv(x).chunk(3, dim=-1)
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for y in (q, k, v)
        )
        logits = masked = q @ k.mT / q.size(-1) ** 0.5
        if key_mask is not None:
            hidden = key_mask[:, None, None] == 0
            masked = logits.masked_fill(hidden, -torch.inf)
        if causal_mask is not None:
            masked = logits.masked_fill(causal_mask == 0, -torch.inf)
        context = masked.softmax(dim=-1) @ v
        return self.to_out(context.transpose(1, 2).flatten(2))
