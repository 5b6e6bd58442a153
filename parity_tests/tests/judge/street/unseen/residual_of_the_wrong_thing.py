"""Wrong: the residual is taken after the query was projected."""

import torch.nn as nn


class MultiHeadAttention(nn.Module):
    def __init__(self, n_head, d_model, dropout=0.1):
        super().__init__()
        self.n_head = n_head
        self.w_qs = nn.Linear(d_model, d_model, bias=False)
        self.w_ks = nn.Linear(d_model, d_model, bias=False)
        self.w_vs = nn.Linear(d_model, d_model, bias=False)
        self.fc = nn.Linear(d_model, d_model, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.layer_norm = nn.LayerNorm(d_model, eps=1e-6)

    def split(self, x):
        return x.unflatten(-1, (self.n_head, -1)).transpose(1, 2)

    def forward(self, q, k, v):
        """layer_norm(q + attention(q, k, v))"""
        q, k, v = self.w_qs(q), self.w_ks(k), self.w_vs(v)
        residual = q
        q, k, v = self.split(q), self.split(k), self.split(v)
        attn = (q @ k.mT / q.size(-1) ** 0.5).softmax(-1)
        x = (self.dropout(attn) @ v).transpose(1, 2).flatten(2)
        return self.layer_norm(self.dropout(self.fc(x)) + residual)
