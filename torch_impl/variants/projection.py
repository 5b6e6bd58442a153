"""Projection: a linear layer without a bias."""

from jaxtyping import Float
from torch import Tensor as Array
from torch import nn

from ..checked import checked


class Projection(nn.Linear):
    """Projection: `nn.Linear` without a bias, spelled out."""

    weight: Float[Array, "d_out d_in"]

    def __init__(self, d_in: int, d_out: int):
        super().__init__(d_in, d_out, bias=False)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch d_in"],
    ) -> Float[Array, "*batch d_out"]:
        y = x @ self.weight.transpose(-2, -1)
        return y
