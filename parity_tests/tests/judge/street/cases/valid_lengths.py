"""Valid lengths in place of a mask: one a text, or one a query."""

import torch
from torch import nn


def masked_softmax(scores, valid_lens=None):
    """scores: (batch, query, key); valid_lens: (batch,) or with queries"""
    if valid_lens is None:
        return scores.softmax(dim=-1)
    if valid_lens.ndim == 1:
        valid_lens = valid_lens[:, None]
    position = torch.arange(scores.size(-1), device=scores.device)
    padding = position >= valid_lens[..., None]
    return scores.masked_fill(padding, -1e6).softmax(dim=-1)


class MaskedAttention(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.drop = nn.Dropout(dropout)

    def forward(self, queries, keys, values, valid_lens=None):
        scores = torch.bmm(queries, keys.mT) / queries.size(-1) ** 0.5
        self.weights = masked_softmax(scores, valid_lens)
        return torch.bmm(self.drop(self.weights), values)
