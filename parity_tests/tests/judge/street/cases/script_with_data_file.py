"""A script that first reads a data file, which is not there."""

import torch
from torch import nn

max_tokens, width = 16, 24
with open("shakespeare.txt", encoding="utf-8") as file:
    text = file.read()
vocabulary = sorted(set(text))
token_ids = torch.tensor([vocabulary.index(letter) for letter in text])


class AttentionHead(nn.Module):
    def __init__(self, head_size):
        super().__init__()
        self.query = nn.Linear(width, head_size, bias=False)
        self.key = nn.Linear(width, head_size, bias=False)
        self.value = nn.Linear(width, head_size, bias=False)
        past = torch.ones(max_tokens, max_tokens).tril()
        self.register_buffer("past", past)

    def forward(self, x):
        tokens = x.size(1)
        scores = self.query(x) @ self.key(x).mT / self.key.out_features**0.5
        future = self.past[:tokens, :tokens] == 0
        weights = scores.masked_fill(future, -torch.inf).softmax(dim=-1)
        return weights @ self.value(x)
