"""GPT-2's layers, whose weights are (in, out), transposed to Linear's."""

import torch
import torch.nn as nn


class Conv1D(nn.Module):
    def __init__(self, nf, nx):
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(torch.empty(nx, nf).normal_(std=0.02))
        self.bias = nn.Parameter(torch.zeros(nf))

    def forward(self, x):
        x_flat = x.reshape(-1, x.size(-1))
        out = torch.addmm(self.bias, x_flat, self.weight)
        return out.view(*x.size()[:-1], self.nf)


class Attention(nn.Module):
    def __init__(self, nx, n_head):
        super().__init__()
        self.n_head, self.split_size = n_head, nx
        self.c_attn = Conv1D(nx * 3, nx)
        self.c_proj = Conv1D(nx, nx)

    def split_heads(self, x):
        return x.unflatten(-1, (self.n_head, -1)).permute(0, 2, 1, 3)

    def forward(self, x):
        query, key, value = self.c_attn(x).split(self.split_size, dim=2)
        query, key, value = map(self.split_heads, (query, key, value))
        w = query @ key.transpose(-1, -2) / query.size(-1) ** 0.5
        ahead = torch.ones_like(w, dtype=torch.bool).triu(1)
        w = w.masked_fill(ahead, torch.finfo(w.dtype).min).softmax(dim=-1)
        a = (w @ value).permute(0, 2, 1, 3).reshape(x.shape)
        return self.c_proj(a)
