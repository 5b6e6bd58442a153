"""Wrong: each head is scaled by the width of all heads."""

import torch
import torch.nn as nn


class MultiHeadAttentionLayer(nn.Module):
    def __init__(self, hid_dim, n_heads, dropout):
        super().__init__()
        self.hid_dim, self.n_heads = hid_dim, n_heads
        self.fc_q = nn.Linear(hid_dim, hid_dim)
        self.fc_k = nn.Linear(hid_dim, hid_dim)
        self.fc_v = nn.Linear(hid_dim, hid_dim)
        self.fc_o = nn.Linear(hid_dim, hid_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query, key, value):
        b, shape = query.shape[0], (self.n_heads, -1)
        Q = self.fc_q(query).unflatten(2, shape).permute(0, 2, 1, 3)
        K = self.fc_k(key).unflatten(2, shape).permute(0, 2, 1, 3)
        V = self.fc_v(value).unflatten(2, shape).permute(0, 2, 1, 3)
        energy = Q @ K.permute(0, 1, 3, 2) / self.hid_dim**0.5
        attention = torch.softmax(energy, dim=-1)
        x = (self.dropout(attention) @ V).permute(0, 2, 1, 3)
        return self.fc_o(x.reshape(b, -1, self.hid_dim)), attention
