"""Wrong: scores are divided by 2, which suits heads of 4 features."""

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(
        self,
        d_in,
        d_out,
        context_length,
        dropout,
        num_heads,
        qkv_bias=False,
    ):
        super().__init__()
        self.num_heads = num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.drop = nn.Dropout(dropout)
        visible = torch.tril(torch.ones(context_length, context_length))
        self.register_buffer("visible", visible)

    def forward(self, x):
        split = (self.num_heads, -1)
        q = self.W_query(x).unflatten(-1, split).transpose(1, 2)
        k = self.W_key(x).unflatten(-1, split).transpose(1, 2)
        v = self.W_value(x).unflatten(-1, split).transpose(1, 2)
        visible = self.visible[: x.size(1), : x.size(1)]
        scores = (q @ k.mT / 2.0).masked_fill(visible == 0, -torch.inf)
        context = self.drop(scores.softmax(dim=-1)) @ v
        return self.out_proj(context.transpose(1, 2).flatten(2))
