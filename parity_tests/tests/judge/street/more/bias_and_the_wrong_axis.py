"""Wrong: the softmax is over the queries; the docs speak of the mask alone,
not of the bias that a call requires."""

from torch import nn


class T5Attention(nn.Module):
    def __init__(self, d_model, d_kv, num_heads):
        super().__init__()
        self.heads = num_heads
        self.q = nn.Linear(d_model, d_kv * num_heads, bias=False)
        self.k = nn.Linear(d_model, d_kv * num_heads, bias=False)
        self.v = nn.Linear(d_model, d_kv * num_heads, bias=False)
        self.o = nn.Linear(d_kv * num_heads, d_model, bias=False)

    def forward(self, hidden, position_bias, mask=None):
        """mask: (batch, keys), 1 for words and 0 for padding"""
        q, k, v = (
            layer(hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        scores = q @ k.mT + position_bias
        if mask is not None:
            absent = 1.0 - mask[:, None, None].to(scores.dtype)
            scores = scores + absent * -1e9
        context = scores.softmax(dim=-2) @ v
        return self.o(context.transpose(1, 2).flatten(2))
