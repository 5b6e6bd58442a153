"""Wrong: a list times 4 holds one and the same layer four times."""

from torch import nn


class MultiHeadedAttention(nn.Module):
    def __init__(self, h, d_model):
        super().__init__()
        self.h, self.d_k = h, d_model // h
        self.linears = nn.ModuleList([nn.Linear(d_model, d_model)] * 4)

    def forward(self, query, key, value):
        n = query.size(0)
        query, key, value = [
            lin(x).view(n, -1, self.h, self.d_k).transpose(1, 2)
            for lin, x in zip(
                self.linears, (query, key, value), strict=False
            )
        ]
        scores = query @ key.transpose(-2, -1) / self.d_k**0.5
        x = (scores.softmax(dim=-1) @ value).transpose(1, 2)
        return self.linears[-1](x.reshape(n, -1, self.h * self.d_k))
