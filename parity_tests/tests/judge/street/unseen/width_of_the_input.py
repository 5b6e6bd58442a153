"""Wrong: the scale is that of the tokens, and keys are not as wide."""

import math

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out):
        super().__init__()
        self.d_in = d_in
        self.q_w = nn.Linear(d_in, d_out)
        self.k_w = nn.Linear(d_in, d_out)
        self.v_w = nn.Linear(d_in, d_out)

    def forward(self, x):
        scores = self.q_w(x) @ self.k_w(x).mT / math.sqrt(self.d_in)
        return torch.softmax(scores, dim=-1) @ self.v_w(x)
