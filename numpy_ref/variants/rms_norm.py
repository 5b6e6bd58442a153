"""RMSNorm: layer norm without the mean (Zhang and Sennrich 2019).

A token is divided by its own size and rescaled. Nothing is centred, and
there is no offset: half of layer norm's steps.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..checked import check_not_negative, checked


@checked
@dataclass(frozen=True, eq=False)
class RMSNorm:
    """RMSNorm: the scale that each feature gets back."""

    weight: Float[Array, " d_model"]


@checked
def rms_norm(
    x: Float[Array, "*batch d_model"],
    params: RMSNorm,
    epsilon: float,
) -> Float[Array, "*batch d_model"]:
    r"""RMSNorm: each token with a root mean square of 1, rescaled.

    $z = x / \sqrt{\overline{x^2} + \epsilon}$, $y = z \odot w$

    `epsilon` stands inside the root: 1e-5 in SmolLM2 and Llama 2, 1e-6 in
    Qwen 2 (Zhang and Sennrich 2019, section 4). Raises ValueError unless
    `epsilon` is finite and at least 0.
    """
    check_not_negative("epsilon", epsilon)
    mean_square = (x * x).mean(axis=-1, keepdims=True)
    root_mean_square = np.sqrt(mean_square + epsilon)
    normalised = x / root_mean_square
    y = normalised * params.weight
    return y


@checked
def rms_norm_backward(
    d_y: Float[Array, "*batch d_model"],
    x: Float[Array, "*batch d_model"],
    params: RMSNorm,
    epsilon: float,
) -> tuple[Float[Array, "*batch d_model"], RMSNorm]:
    r"""Gradient of RMSNorm: a feature acts by the common size, too.

    With n features and $r = \sqrt{\overline{x^2} + \epsilon}$:
    $dr = -\sum dz \, z / r$ as $z = x / r$; $d\overline{x^2} = dr / 2r$;
    $dx = dz / r + 2 x \, d\overline{x^2} / n$. Put together,
    $dx = (dz - z \, \overline{dz \, z}) / r$: no gradient goes along the
    token itself, since a longer token would come out the same.
    """
    check_not_negative("epsilon", epsilon)
    features = x.shape[-1]
    mean_square = (x * x).mean(axis=-1, keepdims=True)
    root_mean_square = np.sqrt(mean_square + epsilon)
    normalised = x / root_mean_square
    d_normalised = d_y * params.weight
    dot = (d_normalised * normalised).sum(axis=-1, keepdims=True)
    d_root_mean_square = -dot / root_mean_square
    d_mean_square = d_root_mean_square / (2 * root_mean_square)
    through_size = 2 / features * x * d_mean_square
    d_x = d_normalised / root_mean_square + through_size
    d_weight = (d_y * normalised).reshape(-1, features).sum(axis=0)
    d_params = RMSNorm(d_weight)
    return d_x, d_params
