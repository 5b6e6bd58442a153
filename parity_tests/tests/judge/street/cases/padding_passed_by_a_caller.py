"""Wrong: the padding mask acts on the queries, not on the keys.

What it means is seen where the file calls the layer.
"""

from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, hid_dim, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.fc_q = nn.Linear(hid_dim, hid_dim)
        self.fc_k = nn.Linear(hid_dim, hid_dim)
        self.fc_v = nn.Linear(hid_dim, hid_dim)
        self.fc_o = nn.Linear(hid_dim, hid_dim)

    def heads(self, x):
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)

    def forward(self, src, src_mask):
        # src = [batch size, src len, hid dim]
        q, k, v = map(
            self.heads, (self.fc_q(src), self.fc_k(src), self.fc_v(src))
        )
        energy = q @ k.mT / q.shape[-1] ** 0.5
        padding = (src_mask == 0)[:, None, :, None]
        attention = energy.masked_fill(padding, -1e10).softmax(dim=-1)
        return self.fc_o((attention @ v).transpose(1, 2).flatten(2))


class Classifier(nn.Module):
    def __init__(self, words, hid_dim, pad):
        super().__init__()
        self.pad = pad
        self.embedding = nn.Embedding(words, hid_dim, padding_idx=pad)
        self.attention = SelfAttention(hid_dim, 4)

    def forward(self, tokens):
        src_mask = (tokens != self.pad).long()
        return self.attention(self.embedding(tokens), src_mask).mean(1)
