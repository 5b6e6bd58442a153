"""SwiGLU: a feed-forward network with a gate (Shazeer 2020, section 2)."""

import torch
from jaxtyping import Float
from torch import Tensor as Array
from torch import nn

from ..checked import checked
from .projection import Projection


@checked
def silu(
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    gate = torch.sigmoid(x)
    y = x * gate
    return y


class SwiGLU(nn.Module):
    gate: Projection
    up: Projection
    down: Projection

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        self.gate = Projection(d_model, d_ff)
        self.up = Projection(d_model, d_ff)
        self.down = Projection(d_ff, d_model)

    @checked
    def forward(
        self,
        x: Float[Array, "*batch d_model"],
    ) -> Float[Array, "*batch d_model"]:
        gate = self.gate(x)
        opened = silu(gate)
        up = self.up(x)
        gated = opened * up
        y = self.down(gated)
        return y
