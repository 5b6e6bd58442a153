"""The configuration is a plain dict, which stands in the file."""

import torch
import torch.nn as nn

GPT_CONFIG = {
    "vocab_size": 100,
    "context_length": 32,
    "emb_dim": 24,
    "n_heads": 3,
    "drop_rate": 0.1,
    "qkv_bias": False,
}


class CausalAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        d, self.num_heads = cfg["emb_dim"], cfg["n_heads"]
        self.W_query = nn.Linear(d, d, bias=cfg["qkv_bias"])
        self.W_key = nn.Linear(d, d, bias=cfg["qkv_bias"])
        self.W_value = nn.Linear(d, d, bias=cfg["qkv_bias"])
        self.out_proj = nn.Linear(d, d)
        self.dropout = nn.Dropout(cfg["drop_rate"])
        n = cfg["context_length"]
        self.register_buffer("mask", torch.triu(torch.ones(n, n), 1))

    def forward(self, x):
        b, num_tokens, d = x.shape
        shape = (b, num_tokens, self.num_heads, d // self.num_heads)
        keys = self.W_key(x).view(shape).transpose(1, 2)
        queries = self.W_query(x).view(shape).transpose(1, 2)
        values = self.W_value(x).view(shape).transpose(1, 2)
        scores = queries @ keys.transpose(2, 3)
        mask_bool = self.mask.bool()[:num_tokens, :num_tokens]
        scores.masked_fill_(mask_bool, -torch.inf)
        weights = torch.softmax(scores / keys.shape[-1] ** 0.5, dim=-1)
        context = (self.dropout(weights) @ values).transpose(1, 2)
        return self.out_proj(context.reshape(b, num_tokens, d))
