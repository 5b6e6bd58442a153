"""Layers: the linear map, and dropout with its choices as an argument.

Axes: `d_in` and `d_out` count the features before and after.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from .checked import checked


@checked
@dataclass(frozen=True, eq=False)
class Linear:
    """One row of weights and one bias for each feature that comes out."""

    weight: Float[Array, "d_out d_in"]
    bias: Float[Array, " d_out"]


@checked
def linear(
    x: Float[Array, "*batch d_in"],
    params: Linear,
) -> Float[Array, "*batch d_out"]:
    r"""An affine map of the last axis.

    $y = x W^\top + b$
    """
    projected = x @ params.weight.swapaxes(-2, -1)
    y = projected + params.bias
    return y


@checked
def dropout(
    x: Float[Array, "*shape"],
    keep: Bool[Array, "*#shape"],
    rate: float,
) -> Float[Array, "*shape"]:
    r"""Zeros where `keep` is False, the rest scaled up to make up for it.

    $y = x \odot \text{keep} / (1 - \text{rate})$

    `rate` is the probability of False, 0 <= rate < 1. The caller draws
    `keep`, so that two implementations can make the same choices. A sum
    keeps its value in expectation only (Srivastava et al. 2014, section
    4; scaled while training, as in section 10).
    """
    kept = np.where(keep, x, 0)
    y = kept / (1 - rate)
    return y
