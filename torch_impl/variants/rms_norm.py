"""RMSNorm: layer norm without the mean (Zhang and Sennrich 2019)."""

import torch
from jaxtyping import Float
from torch import Tensor as Array
from torch import nn

from ..checked import check_not_negative, checked


class RMSNorm(nn.Module):
    weight: Float[Array, " d_model"]

    def __init__(self, d_model: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))

    @checked
    def forward(
        self,
        x: Float[Array, "*batch d_model"],
        epsilon: float,
    ) -> Float[Array, "*batch d_model"]:
        check_not_negative("epsilon", epsilon)
        mean_square = x.square().mean(dim=-1, keepdim=True)
        root_mean_square = torch.sqrt(mean_square + epsilon)
        normalised = x / root_mean_square
        y = normalised * self.weight
        return y
