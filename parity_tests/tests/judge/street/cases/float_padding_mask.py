"""Wrong: a float mask of ones and zeros is added, and hides nothing."""

from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class EncoderAttention(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.wq = nn.Linear(hidden, hidden)
        self.wk = nn.Linear(hidden, hidden)
        self.wv = nn.Linear(hidden, hidden)
        self.wo = nn.Linear(hidden, hidden)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, mask=None):
        """mask: (batch, token), 1 for a word and 0 for padding."""
        if mask is not None:
            mask = mask[:, None, None].to(x.dtype)
        q, k, v = map(self.split, (self.wq(x), self.wk(x), self.wv(x)))
        context = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.wo(context.transpose(1, 2).flatten(2))
