"""Projection: a linear layer without a bias.

Models since 2022 leave most biases out: a norm stands before each layer,
and large models trained more stably without (Chowdhery et al. 2022,
section 2).
"""

from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray as Array

from ..checked import checked


@checked
@dataclass(frozen=True, eq=False)
class Projection:
    """Projection: a row of weights for each output feature, no bias."""

    weight: Float[Array, "d_out d_in"]


@checked
def projection(
    x: Float[Array, "*batch d_in"],
    params: Projection,
) -> Float[Array, "*batch d_out"]:
    r"""Projection: a linear map of the last axis.

    $y = x W^\top$
    """
    y = x @ params.weight.swapaxes(-2, -1)
    return y


@checked
def projection_backward(
    d_y: Float[Array, "*batch d_out"],
    x: Float[Array, "*batch d_in"],
    params: Projection,
) -> tuple[Float[Array, "*batch d_in"], Projection]:
    r"""Gradient of a projection: a sum over the tokens, which share it.

    $dX = dY \, W$, $dW = \sum dy^\top x$
    """
    d_x = d_y @ params.weight
    tokens = x.reshape(-1, x.shape[-1])
    upstream = d_y.reshape(-1, d_y.shape[-1])
    d_params = Projection(upstream.T @ tokens)
    return d_x, d_params
