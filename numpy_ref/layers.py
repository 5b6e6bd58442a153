"""Layers: what stands around attention in a transformer.

Axes: `d_in` and `d_out` count the features before and after; `d_model`
those of a token, `d_inner` those inside of a feed-forward layer.
"""

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from .checked import checked
from .normal_distribution import normal_cdf


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


@checked
@dataclass(frozen=True, eq=False)
class LayerNorm:
    """The scale and the offset that each feature gets back."""

    weight: Float[Array, " d_model"]
    bias: Float[Array, " d_model"]


@checked
def layer_norm(
    x: Float[Array, "*batch d_model"],
    params: LayerNorm,
    epsilon: float,
) -> Float[Array, "*batch d_model"]:
    r"""The features of each token, with mean 0 and variance 1, rescaled.

    $z = (x - \mu) / \sqrt{\sigma^2 + \epsilon}$,
    $y = z \odot w + b$

    The variance is the biased one, over d_model, and `epsilon` stands
    inside the root: 1e-12 in BERT, 1e-5 in GPT-2 (Ba et al. 2016,
    section 3).
    """
    mean = x.mean(axis=-1, keepdims=True)
    centred = x - mean
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    deviation = np.sqrt(variance + epsilon)
    normalised = centred / deviation
    y = normalised * params.weight + params.bias
    return y


@checked
def gelu(
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    r"""A feature counts by the probability of a smaller one.

    $y = x \, \Phi(x)$, with $\Phi$ the normal distribution
    (Hendrycks and Gimpel 2016, section 2)

    BERT's form. GPT-2's is `gelu_tanh`; the two differ by up to 4.73e-4,
    near |x| = 2.70.
    """
    probability = normal_cdf(x)
    y = x * probability
    return y


@checked
def gelu_tanh(
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    r"""`gelu` by way of a hyperbolic tangent, as in GPT-2.

    $y = \frac{x}{2} \left(1 + \tanh\left(\sqrt{2 / \pi} \,
    (x + 0.044715 \, x^3)\right)\right)$
    (Hendrycks and Gimpel 2016, section 2)
    """
    cubic = x + 0.044715 * (x * x * x)
    bent = np.tanh(sqrt(2 / pi) * cubic)
    y = x / 2 * (1 + bent)
    return y


@checked
@dataclass(frozen=True, eq=False)
class FeedForward:
    """Two linear layers, to d_inner features and back."""

    inner: Linear
    output: Linear


@checked
def feed_forward(
    x: Float[Array, "*batch d_model"],
    params: FeedForward,
) -> Float[Array, "*batch d_model"]:
    r"""Each token on its own: wider, bent, and back.

    $Y = \operatorname{gelu}(X W_1^\top + b_1) W_2^\top + b_2$
    (Vaswani et al. 2017, section 3.3; with GELU as in Devlin et al. 2019)
    """
    inner = linear(x, params.inner)
    activated = gelu(inner)
    y = linear(activated, params.output)
    return y
