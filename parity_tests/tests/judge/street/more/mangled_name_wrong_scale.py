"""The same, scaled by the width of the model."""

import math

import torch
from torch import nn


class MHA(nn.Module):
    def __init__(self, __C):
        super().__init__()
        self.__C = __C
        self.to_q = nn.Linear(__C.HIDDEN_SIZE, __C.HIDDEN_SIZE)
        self.to_k = nn.Linear(__C.HIDDEN_SIZE, __C.HIDDEN_SIZE)
        self.to_v = nn.Linear(__C.HIDDEN_SIZE, __C.HIDDEN_SIZE)
        self.merge = nn.Linear(__C.HIDDEN_SIZE, __C.HIDDEN_SIZE)
        self.dropout = nn.Dropout(__C.DROPOUT_R)

    def heads(self, x):
        width = self.__C.HIDDEN_SIZE_HEAD
        x = x.view(len(x), -1, self.__C.MULTI_HEAD, width)
        return x.transpose(1, 2)

    def forward(self, v, k, q, mask):
        """mask (batch, 1, 1, keys): True where a key is padding."""
        v = self.heads(self.to_v(v))
        k = self.heads(self.to_k(k))
        q = self.heads(self.to_q(q))
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.__C.HIDDEN_SIZE)
        if mask is not None:
            scores = scores.masked_fill(mask, -1e9)
        weights = self.dropout(torch.softmax(scores, dim=-1))
        joined = (weights @ v).transpose(1, 2).flatten(2)
        return self.merge(joined)
