"""One joined layer; right wherever d_in = d_out."""

import torch
from torch import nn


class CausalAttention(nn.Module):
    def __init__(self, d_in, d_out, n_heads, max_tokens):
        super().__init__()
        self.n_heads = n_heads
        self.scale = (d_out // n_heads) ** -0.5
        self.to_qkv = nn.Linear(d_in, 3 * d_out)
        self.out = nn.Linear(d_in, d_out)
        future = torch.ones(max_tokens, max_tokens).triu(1).bool()
        self.register_buffer("future", future)

    def forward(self, x):
        tokens = x.shape[1]
        in_heads = self.to_qkv(x).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = in_heads.permute(2, 0, 3, 1, 4)
        logits = self.scale * (q @ k.mT)
        logits = logits.masked_fill(
            self.future[:tokens, :tokens], -torch.inf
        )
        context = (logits.softmax(-1) @ v).transpose(1, 2)
        return self.out(context.reshape(x.shape))
