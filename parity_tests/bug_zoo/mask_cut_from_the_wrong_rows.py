"""The causal mask's last rows are taken, which belong to later positions.

Origin: no public report found; seen in exercises. (A relative, where
the saved mask of maximum length does not fit a shorter text:
facebookresearch/xformers pull request 66)

Cause: wrong rows of a mask of maximum length
"""

import math

import torch
from torch import nn


class CausalSelfAttention(nn.Module):
    """GPT's attention: query, key and value from one linear layer.

    `config` has n_embd, n_head, block_size, dropout and bias.
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
        q, k, v = self.c_attn(x).split(self.n_embd, dim=2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)

        att = q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))
        att = att.masked_fill(~self.bias[-T:, :T], -math.inf)
        att = self.attn_dropout(att.softmax(dim=-1))
        y = (att @ v).transpose(1, 2).contiguous().view(B, T, C)
        return self.resid_dropout(self.c_proj(y))
