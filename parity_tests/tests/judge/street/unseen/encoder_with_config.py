"""An encoder's self-attention: config object, and ones for words."""

import math
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class EncoderConfig:
    hidden_size: int = 24
    num_attention_heads: int = 4
    attention_probs_dropout_prob: float = 0.1


class EncoderSelfAttention(nn.Module):
    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.num_attention_heads = config.num_attention_heads
        size = config.hidden_size
        self.attention_head_size = size // config.num_attention_heads
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def transpose_for_scores(self, x):
        shape = (self.num_attention_heads, self.attention_head_size)
        return x.view(*x.size()[:-1], *shape).permute(0, 2, 1, 3)

    def forward(self, hidden_states, attention_mask=None):
        """attention_mask (batch, tokens): 1 for words, 0 for padding."""
        q = self.transpose_for_scores(self.query(hidden_states))
        k = self.transpose_for_scores(self.key(hidden_states))
        v = self.transpose_for_scores(self.value(hidden_states))
        scores = torch.matmul(q, k.transpose(-1, -2))
        scores = scores / math.sqrt(self.attention_head_size)
        if attention_mask is not None:
            extended = attention_mask[:, None, None, :].to(scores.dtype)
            scores = scores + (1.0 - extended) * -1e9
        probs = self.dropout(nn.functional.softmax(scores, dim=-1))
        context = torch.matmul(probs, v).permute(0, 2, 1, 3).contiguous()
        return (context.view(hidden_states.size()),)
