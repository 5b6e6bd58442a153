"""Wrong: w_concat is made, and never called."""

from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_head):
        super().__init__()
        self.n_head = n_head
        self.w_q = nn.Linear(d_model, d_model)
        self.w_k = nn.Linear(d_model, d_model)
        self.w_v = nn.Linear(d_model, d_model)
        self.w_concat = nn.Linear(d_model, d_model)

    def split(self, tensor):
        return tensor.unflatten(-1, (self.n_head, -1)).transpose(1, 2)

    def concat(self, tensor):
        return tensor.transpose(1, 2).flatten(2)

    def forward(self, q, k, v):
        q, k, v = self.w_q(q), self.w_k(k), self.w_v(v)
        q, k, v = self.split(q), self.split(k), self.split(v)
        score = q @ k.transpose(2, 3) / q.size(-1) ** 0.5
        return self.concat(score.softmax(dim=-1) @ v)
