"""PyTorch's FlexAttention, compiled where a C++ compiler is there.

It takes a batch of heads. A mask takes part as a function of positions.
Compiled on the CPU it has no backward.
"""

from shutil import which

import torch
from torch.nn.attention.flex_attention import flex_attention

compiled = torch.compile(flex_attention, dynamic=True)
attend = compiled if which("c++") else flex_attention


def scaled_dot_product_attention(
    query: torch.Tensor, key, value, mask=None, scale=None
):
    if mask is None:
        return attend(query, key, value, scale=scale)
    shape = (*query.shape[:-1], key.shape[-2])
    mask = torch.broadcast_to(mask, shape)

    def where_masked(score, batch, head, row, column):
        seen = mask[batch, head, row, column]
        return torch.where(seen, score, -torch.inf)

    return attend(query, key, value, where_masked, scale=scale)
