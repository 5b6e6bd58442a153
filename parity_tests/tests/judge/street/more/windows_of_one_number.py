"""Square windows, of one number; distances are rows of an embedding."""

import torch
from torch import nn


class WindowAttention(nn.Module):
    def __init__(self, dim, window_size=7, heads=4):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.to_qkv = nn.Linear(dim, dim * 3, bias=False)
        self.to_out = nn.Linear(dim, dim)
        width = 2 * window_size - 1
        self.rel_pos_bias = nn.Embedding(width**2, heads)
        at = torch.arange(window_size)
        places = torch.stack(torch.meshgrid(at, at, indexing="ij"))
        places = places.flatten(1)
        apart = places[:, :, None] - places[:, None] + window_size - 1
        self.register_buffer(
            "rel_pos_indices", apart[0] * width + apart[1], persistent=False
        )

    def forward(self, x):
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.to_qkv(x).chunk(3, dim=-1)
        )
        scores = torch.einsum("bhid,bhjd->bhij", q * self.scale, k)
        bias = self.rel_pos_bias(self.rel_pos_indices)
        weights = (scores + bias.permute(2, 0, 1)).softmax(dim=-1)
        out = torch.einsum("bhij,bhjd->bhid", weights, v)
        return self.to_out(out.transpose(1, 2).flatten(2))
