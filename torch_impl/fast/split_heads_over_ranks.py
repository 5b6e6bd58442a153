"""Tensor parallelism: the heads of one layer, split over ranks."""

from jaxtyping import Bool, Float
from torch import Tensor as Array
from torch import nn

from ..checked import check_divides, checked
from ..layers import Linear
from ..multi_head import MultiHeadAttention


class SplitHeadsOverRanks(nn.Module):
    ranks: tuple[MultiHeadAttention, ...]

    def __init__(self, d_model: int, ranks: int):
        super().__init__()
        check_divides("ranks", ranks, "d_model", d_model)
        self.ranks = nn.ModuleList(
            rank_heads(d_model, d_model // ranks) for _ in range(ranks)
        )

    @checked
    def forward(
        self,
        x: Float[Array, "*batch position d_model"],
        mask: Bool[Array, "*#batch #position #position"],
        heads: int,
    ) -> Float[Array, "*batch position d_model"]:
        ranks = len(self.ranks)
        check_divides("ranks", ranks, "heads", heads)
        parts = [rank(x, mask, heads // ranks) for rank in self.ranks]
        y = sum(parts)
        return y


def rank_heads(d_model: int, d_rank: int) -> MultiHeadAttention:
    """The module of one rank, as `heads_of_rank` cuts its parameters."""
    part = MultiHeadAttention(d_model)
    for name in ("query", "key", "value"):
        setattr(part, name, Linear(d_model, d_rank))
    part.output = Linear(d_rank, d_model)
    return part
