"""Tokens look at the same place of other texts, not at their own text.

Origin: om-ai-lab/OmDet issue 19 and aipixel/AEMatter issue 3, where
batch-first inputs met a layer that takes positions first.

Cause: attention runs along the batch
"""

import torch
from torch import nn


class SelfAttention(nn.Module):
    """Each token of x (batch, tokens, d_in) looks at all tokens."""

    def __init__(self, d_in, d_out, qkv_bias=False):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)

    def forward(self, x):
        queries = self.W_query(x).transpose(0, 1)
        keys = self.W_key(x).transpose(0, 1)
        values = self.W_value(x).transpose(0, 1)
        scores = queries @ keys.transpose(-2, -1)
        weights = torch.softmax(scores / keys.shape[-1] ** 0.5, dim=-1)
        return (weights @ values).transpose(0, 1)
