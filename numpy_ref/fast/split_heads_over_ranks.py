"""Tensor parallelism: the heads of one layer, split over ranks.

Heads do not know of each other before the output layer, which is linear.
So each rank can have some of them, with their rows of the three
projections and their columns of the output layer: a multi-head attention
with fewer heads. All ranks have all tokens, and what they give is added
(Shoeybi et al. 2019, section 3).

Here all ranks take turns in one process. Over processes the sum is an
all-reduce, and so is, on the way back, that of the gradients of x
(`heads_of_ranks` in `torch_impl`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from ..checked import check_between, check_divides, checked
from ..layers import Linear
from ..multi_head import (
    MultiHeadAttention,
    multi_head_attention,
    multi_head_attention_backward,
)


@checked
@dataclass(frozen=True, eq=False)
class SplitHeadsOverRanks:
    """Heads over ranks: what each of them has of one layer."""

    ranks: tuple[MultiHeadAttention, ...]


@checked
def split_heads_over_ranks(
    x: Float[Array, "*batch position d_model"],
    params: SplitHeadsOverRanks,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
) -> Float[Array, "*batch position d_model"]:
    r"""Heads over ranks: each attends with its own, and all is added.

    $Y = \sum_r \operatorname{merge}(O_r) W_{O,r}^\top + b_{O,r}$
    (Shoeybi et al. 2019, section 3)

    `heads` are those of all ranks. Raises ValueError unless the number of
    ranks divides it.
    """
    ranks = len(params.ranks)
    check_divides("ranks", ranks, "heads", heads)
    parts = [
        multi_head_attention(x, rank, mask, heads // ranks)
        for rank in params.ranks
    ]
    y = sum(parts)
    return y


@checked
def split_heads_over_ranks_backward(
    d_y: Float[Array, "*batch position d_model"],
    x: Float[Array, "*batch position d_model"],
    params: SplitHeadsOverRanks,
    mask: Bool[Array, "*#batch #position #position"],
    heads: int,
) -> tuple[Float[Array, "*batch position d_model"], SplitHeadsOverRanks]:
    """Gradient: each rank gets all of it, and its tokens' parts add up."""
    ranks = len(params.ranks)
    check_divides("ranks", ranks, "heads", heads)
    results = [
        multi_head_attention_backward(d_y, x, rank, mask, heads // ranks)
        for rank in params.ranks
    ]
    d_x = sum(d_x_of_rank for d_x_of_rank, _ in results)
    d_params = SplitHeadsOverRanks(tuple(part for _, part in results))
    return d_x, d_params


@checked
def heads_of_rank(
    params: MultiHeadAttention, heads: int, ranks: int, rank: int
) -> MultiHeadAttention:
    """What a rank has of a layer: rows of three weights, columns of one.

    Rank 0 alone has the output's bias; on the others it is 0, since it
    would be added once for each. Raises ValueError unless `ranks` divides
    `heads`, and for a rank that there is not.
    """
    check_divides("ranks", ranks, "heads", heads)
    check_between("rank", rank, 0, ranks - 1)
    weight, bias = params.output.weight, params.output.bias
    own = np.split(np.arange(weight.shape[1]), ranks)[rank]
    projections = [
        Linear(layer.weight[own], layer.bias[own])
        for layer in (params.query, params.key, params.value)
    ]
    own_bias = bias if rank == 0 else np.zeros_like(bias)
    output = Linear(weight[:, own], own_bias)
    part = MultiHeadAttention(*projections, output)
    return part
