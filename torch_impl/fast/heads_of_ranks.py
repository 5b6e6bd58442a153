"""Heads split over processes: where the ranks add up.

What a rank computes is a multi-head attention with fewer heads
(`split_heads_over_ranks`); here are the two places where ranks must meet,
f and g of Megatron (Shoeybi et al. 2019, section 3): tokens go to all, so
their gradients are added; what the ranks give is added, so the gradient
goes to all.
"""

import torch
from torch import Tensor as Array
from torch import distributed

from ..multi_head import MultiHeadAttention


class _ToAllRanks(torch.autograd.Function):
    """f: nothing on the way there, a sum over ranks on the way back."""

    @staticmethod
    def forward(context, x, group):
        context.group = group
        return x.view_as(x)

    @staticmethod
    def backward(context, d_x):
        return added(d_x, context.group), None


class _FromAllRanks(torch.autograd.Function):
    """g: a sum over ranks on the way there, nothing on the way back."""

    @staticmethod
    def forward(context, part, group):
        return added(part, group)

    @staticmethod
    def backward(context, d_y):
        return d_y, None


def added(part: Array, group) -> Array:
    """The sum of what all ranks have, on each of them."""
    total = part.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total, group=group)
    return total


def attention_of_rank(
    x: Array,
    module: MultiHeadAttention,
    mask: Array,
    heads: int,
    group=None,
) -> Array:
    """Multi-head attention of all ranks, by a rank with its heads.

    `module` has the weights of `heads_of_rank`, `heads` are those of all.
    All ranks must call it, and all go back through it.
    """
    ranks = distributed.get_world_size(group)
    everywhere = _ToAllRanks.apply(x, group)
    part = module(everywhere, mask, heads // ranks)
    return _FromAllRanks.apply(part, group)
