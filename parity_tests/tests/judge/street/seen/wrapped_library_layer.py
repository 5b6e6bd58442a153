"""The library's layer, wrapped so that it returns the output only."""

from torch import nn


class Attention(nn.Module):
    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0
    ):
        super().__init__()
        self.attn = nn.MultiheadAttention(
            embed_dim, num_heads, dropout=dropout, batch_first=True
        )

    def forward(self, x, key_padding_mask=None):
        """key_padding_mask: (batch, token), True for padding."""
        out, _ = self.attn(
            x, x, x, key_padding_mask=key_padding_mask, need_weights=False
        )
        return out
