"""GPT's block: one joined layer, and the library's fused attention."""

from dataclasses import dataclass

import torch.nn as nn
from torch.nn import functional as F


@dataclass
class GPTConfig:
    block_size: int = 64
    n_head: int = 2
    n_embd: int = 16
    dropout: float = 0.0
    bias: bool = True


class CausalSelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        self.c_attn = nn.Linear(
            config.n_embd, 3 * config.n_embd, config.bias
        )
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, config.bias)
        self.n_head = config.n_head
        self.dropout = config.dropout

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(C, dim=2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        rate = self.dropout if self.training else 0
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=None, dropout_p=rate, is_causal=True
        )
        return self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))
