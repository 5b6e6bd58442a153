"""Wrong: tril(diagonal=1) shows each token the next one."""

import torch
import torch.nn as nn

CONFIG = {"context_length": 16, "emb_dim": 12, "n_heads": 2}


class CausalAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        d, self.num_heads = cfg["emb_dim"], cfg["n_heads"]
        self.W_query = nn.Linear(d, d)
        self.W_key = nn.Linear(d, d)
        self.W_value = nn.Linear(d, d)
        self.out_proj = nn.Linear(d, d)
        n = cfg["context_length"]
        self.register_buffer("seen", torch.ones(n, n).tril(diagonal=1))

    def forward(self, x):
        t, shape = x.shape[1], (self.num_heads, -1)
        q = self.W_query(x).unflatten(-1, shape).transpose(1, 2)
        k = self.W_key(x).unflatten(-1, shape).transpose(1, 2)
        v = self.W_value(x).unflatten(-1, shape).transpose(1, 2)
        scores = q @ k.mT / q.shape[-1] ** 0.5
        scores = scores.masked_fill(self.seen[:t, :t] == 0, -torch.inf)
        out = (torch.softmax(scores, dim=-1) @ v).transpose(1, 2)
        return self.out_proj(out.flatten(2))
