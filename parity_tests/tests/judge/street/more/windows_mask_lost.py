"""The same; what the mask is added to is not looked at again."""

import torch
from torch import nn


class WindowAttention(nn.Module):
    """mask: (windows, tokens, tokens), 0 or -100, added to the scores."""

    def __init__(
        self,
        dim,
        window_size,
        num_heads,
        qkv_bias=True,
        attn_drop=0.0,
        proj_drop=0.0,
    ):
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        rows, columns = window_size
        self.relative_position_bias_table = nn.Parameter(
            torch.zeros((2 * rows - 1) * (2 * columns - 1), num_heads)
        )
        places = torch.cartesian_prod(
            torch.arange(rows), torch.arange(columns)
        )
        apart = places[:, None] - places[None]
        down, right = (apart + torch.tensor([rows, columns]) - 1).unbind(-1)
        self.register_buffer(
            "relative_position_index", down * (2 * columns - 1) + right
        )
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x, mask=None):
        texts, tokens, _ = x.shape
        qkv = self.qkv(x).view(texts, tokens, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = (q * self.scale) @ k.mT
        bias = self.relative_position_bias_table[
            self.relative_position_index
        ]
        scores = scores + bias.permute(2, 0, 1)
        if mask is not None:
            windows = len(mask)
            masked = scores.unflatten(0, (-1, windows)) + mask[:, None]
            masked = masked.flatten(0, 1)
        weights = self.attn_drop(scores.softmax(dim=-1))
        out = (weights @ v).transpose(1, 2).reshape(x.shape)
        return self.proj_drop(self.proj(out))
