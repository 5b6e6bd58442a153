"""Wrong: an encoder's padding mask of ones and zeros is added as it is."""

import torch
from torch import nn


class EncoderSelfAttention(nn.Module):
    def __init__(self, hidden_size, num_attention_heads):
        super().__init__()
        self.shape = (
            num_attention_heads,
            hidden_size // num_attention_heads,
        )
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden_states, attention_mask=None):
        """attention_mask (batch, tokens): 1 for words, 0 for padding."""
        q = self.query(hidden_states).unflatten(-1, self.shape)
        k = self.key(hidden_states).unflatten(-1, self.shape)
        v = self.value(hidden_states).unflatten(-1, self.shape)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k)
        scores = scores / self.shape[1] ** 0.5
        if attention_mask is not None:
            scores = scores + attention_mask[:, None, None, :]
        context = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v)
        return (context.flatten(2),)
