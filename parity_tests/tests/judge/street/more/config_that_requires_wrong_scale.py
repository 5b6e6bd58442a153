"""The same, scaled by the width of the model."""

import math

import torch
from torch import nn


class ModelConfig:
    attn_drop = 0.1

    def __init__(self, vocab_size, block_size, **others):
        self.vocab_size = vocab_size
        self.block_size = block_size
        for name, value in others.items():
            setattr(self, name, value)


class CausalSelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.query = nn.Linear(config.n_embd, config.n_embd)
        self.key = nn.Linear(config.n_embd, config.n_embd)
        self.value = nn.Linear(config.n_embd, config.n_embd)
        self.out = nn.Linear(config.n_embd, config.n_embd)
        self.drop = nn.Dropout(config.attn_drop)
        size = config.block_size
        future = torch.ones(size, size, dtype=torch.bool).triu(1)
        self.register_buffer("future", future)

    def heads(self, x):
        return x.unflatten(-1, (self.n_head, -1)).transpose(1, 2)

    def forward(self, x):
        t = x.size(1)
        q, k, v = self.query(x), self.key(x), self.value(x)
        q, k, v = self.heads(q), self.heads(k), self.heads(v)
        scores = q @ k.transpose(-2, -1) / math.sqrt(x.size(-1))
        scores = scores.masked_fill(self.future[:t, :t], float("-inf"))
        out = self.drop(scores.softmax(dim=-1)) @ v
        return self.out(out.transpose(1, 2).flatten(2))


def model():
    return CausalSelfAttention(ModelConfig(50, 16, n_embd=32, n_head=4))
