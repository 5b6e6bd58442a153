"""One layer for query, key and value, read head by head.

The layout of GPT-NeoX. With weights that were trained for GPT-2's layout,
query, key and value one below the other, it would be wrong without a word;
from outside, with weights of its own, it is as good as that.
"""

import math

import torch
from torch import nn


class CausalSelfAttention(nn.Module):
    """GPT's attention: query, key and value from one linear layer.

    The rows of c_attn's weight are those of query, key and value of the
    first head, then of the next. `config` has n_embd, n_head, block_size,
    dropout and bias.
    """

    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.n_embd = config.n_embd
        self.c_attn = nn.Linear(
            config.n_embd, 3 * config.n_embd, bias=config.bias
        )
        self.c_proj = nn.Linear(
            config.n_embd, config.n_embd, bias=config.bias
        )
        self.attn_dropout = nn.Dropout(config.dropout)
        self.resid_dropout = nn.Dropout(config.dropout)
        past = torch.ones(config.block_size, config.block_size).tril()
        self.register_buffer("bias", past.bool())

    def forward(self, x):
        B, T, C = x.shape
        heads = self.c_attn(x).view(B, T, self.n_head, -1).transpose(1, 2)
        q, k, v = heads.split(C // self.n_head, dim=-1)

        att = q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))
        att = att.masked_fill(~self.bias[:T, :T], -math.inf)
        att = self.attn_dropout(att.softmax(dim=-1))
        y = (att @ v).transpose(1, 2).contiguous().view(B, T, C)
        return self.resid_dropout(self.c_proj(y))
