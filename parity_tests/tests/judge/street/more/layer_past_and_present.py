"""Right: the cache is one stacked tensor, as early GPT-2 code has it."""

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def split_heads(self, x):
        return x.unflatten(-1, (self.n_head, -1)).transpose(1, 2)

    def forward(self, x, layer_past=None):
        q, k, v = map(self.split_heads, self.c_attn(x).chunk(3, dim=-1))
        if layer_past is not None:
            past_key, past_value = layer_past
            k = torch.cat((past_key, k), dim=-2)
            v = torch.cat((past_value, v), dim=-2)
        present = torch.stack((k, v))
        new, every = q.size(-2), k.size(-2)
        bias = torch.tril(torch.ones(every, every, dtype=torch.bool))
        bias = bias[every - new : every]
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.c_proj(a.transpose(1, 2).flatten(2)), present
