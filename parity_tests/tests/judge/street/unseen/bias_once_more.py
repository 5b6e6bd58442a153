"""Wrong: the layer adds its bias, and so does the line after it."""

from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.k_proj = nn.Linear(embed_dim, embed_dim)
        self.v_proj = nn.Linear(embed_dim, embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def split(self, x):
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, x):
        q = (
            self.split(self.q_proj(x))
            * (x.size(-1) / self.num_heads) ** -0.5
        )
        k, v = self.split(self.k_proj(x)), self.split(self.v_proj(x))
        y = (q @ k.mT).softmax(-1) @ v
        y = self.out_proj(y.transpose(1, 2).flatten(2))
        return y + self.out_proj.bias
