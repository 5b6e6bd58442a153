"""SwiGLU: a feed-forward network with a gate (Shazeer 2020, section 2).

One layer says what a feature is, another how far its gate is open. Three
matrices take the place of two, so d_ff is usually made two thirds as
large.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..checked import checked
from .projection import Projection, projection, projection_backward


@checked
def silu(
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    r"""SiLU, or Swish: a feature counts by its own sigmoid.

    $y = x \, \sigma(x)$, $\sigma(x) = 1 / (1 + e^{-x})$
    (Elfwing et al. 2018; Ramachandran et al. 2017)
    """
    gate = _sigmoid(x)
    y = x * gate
    return y


@checked
def silu_backward(
    d_y: Float[Array, "*shape"],
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    r"""Gradient of SiLU: the product rule; $\sigma' = \sigma (1 - \sigma)$.

    $dx = dy \, \sigma(x) + d\sigma \, \sigma(x) (1 - \sigma(x))$,
    $d\sigma = dy \, x$
    """
    gate = _sigmoid(x)
    d_gate = d_y * x
    d_x = d_y * gate + d_gate * gate * (1 - gate)
    return d_x


@checked
@dataclass(frozen=True, eq=False)
class SwiGLU:
    """SwiGLU: the gate, what it gates, and the way back to d_model."""

    gate: Projection
    up: Projection
    down: Projection


@checked
def swiglu(
    x: Float[Array, "*batch d_model"],
    params: SwiGLU,
) -> Float[Array, "*batch d_model"]:
    r"""SwiGLU: widen twice, gate one by the other, project back.

    $Y = (\operatorname{silu}(X W_\text{gate}^\top) \odot
    X W_\text{up}^\top) W_\text{down}^\top$
    (Shazeer 2020, section 2, equation 6)
    """
    gate = projection(x, params.gate)
    opened = silu(gate)
    up = projection(x, params.up)
    gated = opened * up
    y = projection(gated, params.down)
    return y


@checked
def swiglu_backward(
    d_y: Float[Array, "*batch d_model"],
    x: Float[Array, "*batch d_model"],
    params: SwiGLU,
) -> tuple[Float[Array, "*batch d_model"], SwiGLU]:
    """Gradient of SwiGLU: each factor gets the other; a token, a sum."""
    gate = projection(x, params.gate)
    opened = silu(gate)
    up = projection(x, params.up)
    d_gated, d_params_down = projection_backward(
        d_y, opened * up, params.down
    )
    d_opened = d_gated * up
    d_up = d_gated * opened
    d_gate = silu_backward(d_opened, gate)
    as_gate, d_params_gate = projection_backward(d_gate, x, params.gate)
    as_up, d_params_up = projection_backward(d_up, x, params.up)
    d_x = as_gate + as_up
    d_params = SwiGLU(d_params_gate, d_params_up, d_params_down)
    return d_x, d_params


def _sigmoid(x):
    r"""$1 / (1 + e^{-x})$, or $e^x / (1 + e^x)$: no power overflows.

    PyTorch brings `torch.sigmoid`.
    """
    decay = np.exp(-np.abs(x))
    return np.where(x < 0, decay, 1) / (1 + decay)
