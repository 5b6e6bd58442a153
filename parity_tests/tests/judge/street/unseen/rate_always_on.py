"""Wrong: F.dropout does not know that the model is evaluated."""

import torch.nn.functional as F
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads, dropout=0.1):
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.in_proj = nn.Linear(d_model, 3 * d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def forward(self, x):
        in_heads = self.in_proj(x).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = in_heads.permute(2, 0, 3, 1, 4)
        attn = (q @ k.mT / k.shape[-1] ** 0.5).softmax(dim=-1)
        attn = F.dropout(attn, p=self.dropout)
        return self.out_proj((attn @ v).transpose(1, 2).flatten(2))
