"""Attention with linear biases, of which the fused call gets none."""

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class LinearBiasAttention(nn.Module):
    """Each head forgets the past at its own slope (ALiBi)."""

    def __init__(self, width, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.to_qkv = nn.Linear(width, 3 * width)
        self.to_out = nn.Linear(width, width)
        powers = torch.arange(1, num_heads + 1) * 8 / num_heads
        self.register_buffer("slopes", 2.0**-powers)

    def penalty(self, tokens):
        place = torch.arange(tokens, device=self.slopes.device)
        distance = place[:, None] - place
        return -self.slopes[:, None, None] * distance

    def forward(self, x):
        texts, tokens, width = x.shape
        parts = self.to_qkv(x).view(texts, tokens, 3, self.num_heads, -1)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        context = scaled_dot_product_attention(q, k, v, is_causal=True)
        context = context.transpose(1, 2).reshape(texts, tokens, width)
        return self.to_out(context)
