"""Wrong: padding, which is marked by 1s, is kept, and the rest is hidden,
in a layer that takes tokens first."""

import torch
from torch import nn


class MultiheadAttention(nn.Module):
    def __init__(self, embed_dim, num_heads, dropout=0.0):
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.in_proj = nn.Linear(embed_dim, 3 * embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(
        self,
        query,
        key,
        value,
        mask_future_steps=False,
        key_padding_mask=None,
    ):
        """All three are Time x Batch x Width.

        key_padding_mask: (batch, keys), where padding is marked by 1s
        """
        src_len, bsz, width = key.size()
        assert value.size() == (src_len, bsz, width)
        parts = self.in_proj.weight.chunk(3), self.in_proj.bias.chunk(3)
        q, k, v = (
            nn.functional.linear(x, weight, bias)
            .view(len(x), bsz * self.num_heads, -1)
            .transpose(0, 1)
            for x, weight, bias in zip(
                (query, key, value), *parts, strict=True
            )
        )
        scores = torch.bmm(q, k.mT) / q.shape[-1] ** 0.5
        if mask_future_steps:
            later = torch.ones_like(scores[0]).triu(1).bool()
            scores = scores.masked_fill(later, -torch.inf)
        if key_padding_mask is not None:
            hidden = (~key_padding_mask.bool()).repeat_interleave(
                self.num_heads, 0
            )
            scores = scores.masked_fill(hidden[:, None], -torch.inf)
        weights = nn.functional.dropout(
            scores.softmax(-1), self.dropout, self.training
        )
        context = torch.bmm(weights, v).transpose(0, 1)
        return self.out_proj(context.reshape(len(query), bsz, width))
