"""Layers: the linear map, and dropout with its choices as an argument."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor as Array
from torch import nn

from .checked import checked


class Linear(nn.Linear):
    """`nn.Linear`, its arithmetic spelled out."""

    weight: Float[Array, "d_out d_in"]
    bias: Float[Array, " d_out"]

    def __init__(self, d_in: int, d_out: int):
        super().__init__(d_in, d_out)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch d_in"],
    ) -> Float[Array, "*batch d_out"]:
        projected = x @ self.weight.transpose(-2, -1)
        y = projected + self.bias
        return y


@checked
def dropout(
    x: Float[Array, "*shape"],
    keep: Bool[Array, "*#shape"],
    rate: float,
) -> Float[Array, "*shape"]:
    kept = torch.where(keep, x, 0)
    y = kept / (1 - rate)
    return y
