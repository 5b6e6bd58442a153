"""Layers: what stands around attention in a transformer.

Axes: `d_in` and `d_out` count the features before and after; `d_model`
those of a token, `d_ff` those inside of a feed-forward network.
"""

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from .checked import check_not_negative, check_rate, checked
from .normal_distribution import normal_cdf


@checked
@dataclass(frozen=True, eq=False)
class Linear:
    """Linear layer: a row of weights and a bias for each output feature."""

    weight: Float[Array, "d_out d_in"]
    bias: Float[Array, " d_out"]


@checked
def linear(
    x: Float[Array, "*batch d_in"],
    params: Linear,
) -> Float[Array, "*batch d_out"]:
    r"""Linear layer: an affine map of the last axis.

    $y = x W^\top + b$
    """
    y = x @ params.weight.swapaxes(-2, -1) + params.bias
    return y


@checked
def linear_backward(
    d_y: Float[Array, "*batch d_out"],
    x: Float[Array, "*batch d_in"],
    params: Linear,
) -> tuple[Float[Array, "*batch d_in"], Linear]:
    r"""Gradient of a linear layer: sums over the tokens, which share it.

    $dX = dY \, W$, $dW = \sum dy^\top x$, $db = \sum dy$
    """
    d_x = d_y @ params.weight
    tokens = x.reshape(-1, x.shape[-1])
    upstream = d_y.reshape(-1, d_y.shape[-1])
    d_weight = upstream.T @ tokens
    d_bias = upstream.sum(axis=0)
    d_params = Linear(d_weight, d_bias)
    return d_x, d_params


@checked
def dropout(
    x: Float[Array, "*shape"],
    dropout_mask: Bool[Array, "*#shape"],
    rate: float,
) -> Float[Array, "*shape"]:
    r"""Inverted dropout: some numbers become 0, the rest is scaled up.

    $y = x \odot M / (1 - \text{rate})$, with M the `dropout_mask`, True
    for what is kept.

    `rate` is the probability of False. The caller draws the mask, so that
    two implementations can make the same choices. A sum keeps its value
    in expectation only (Srivastava et al. 2014, section 4; scaled while
    training, as in section 10). Raises ValueError unless 0 <= rate < 1.
    """
    check_rate("rate", rate)
    kept = np.where(dropout_mask, x, 0)
    y = kept / (1 - rate)
    return y


@checked
def dropout_backward(
    d_y: Float[Array, "*shape"],
    x: Float[Array, "*shape"],
    dropout_mask: Bool[Array, "*#shape"],
    rate: float,
) -> Float[Array, "*shape"]:
    r"""Gradient of dropout: what was dropped had no effect, the rest more.

    $dX = dY \odot M / (1 - \text{rate})$
    """
    check_rate("rate", rate)
    d_kept = d_y / (1 - rate)
    d_x = np.where(dropout_mask, d_kept, 0)
    return d_x


@checked
@dataclass(frozen=True, eq=False)
class LayerNorm:
    """Layer norm: the scale and the offset that each feature gets back."""

    weight: Float[Array, " d_model"]
    bias: Float[Array, " d_model"]


@checked
def layer_norm(
    x: Float[Array, "*batch d_model"],
    params: LayerNorm,
    epsilon: float,
) -> Float[Array, "*batch d_model"]:
    r"""Layer normalisation: each token with mean 0, variance 1, rescaled.

    $z = (x - \mu) / \sqrt{\sigma^2 + \epsilon}$,
    $y = z \odot w + b$

    The variance is the biased one, over d_model, and `epsilon` stands
    inside the root: 1e-12 in BERT, 1e-5 in GPT-2 (Ba et al. 2016,
    section 3).
    """
    check_not_negative("epsilon", epsilon)
    mean = x.mean(axis=-1, keepdims=True)
    centred = x - mean
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    deviation = np.sqrt(variance + epsilon)
    normalised = centred / deviation
    y = normalised * params.weight + params.bias
    return y


@checked
def layer_norm_backward(
    d_y: Float[Array, "*batch d_model"],
    x: Float[Array, "*batch d_model"],
    params: LayerNorm,
    epsilon: float,
) -> tuple[Float[Array, "*batch d_model"], LayerNorm]:
    r"""Gradient of layer norm; a feature acts by mean and deviation, too.

    With n features and $s = \sqrt{\sigma^2 + \epsilon}$:
    $ds = -\sum dz \, z / s$ as $z = (x - \mu) / s$;
    $d\sigma^2 = ds / 2s$;
    $d(x - \mu) = dz / s + 2 (x - \mu) \, d\sigma^2 / n$;
    $dx = d(x - \mu) + d\mu / n$ with $d\mu = -\sum d(x - \mu)$.
    Put together, $dx = (dz - \overline{dz} - z \, \overline{dz \, z}) /
    s$: no gradient goes where the norm undoes a move.
    """
    check_not_negative("epsilon", epsilon)
    features = x.shape[-1]
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    deviation = np.sqrt(variance + epsilon)
    normalised = centred / deviation
    d_normalised = d_y * params.weight
    dot = (d_normalised * normalised).sum(axis=-1, keepdims=True)
    d_deviation = -dot / deviation
    d_variance = d_deviation / (2 * deviation)
    spread = 2 / features * centred * d_variance
    d_centred = d_normalised / deviation + spread
    d_mean = -d_centred.sum(axis=-1, keepdims=True)
    d_x = d_centred + d_mean / features
    d_weight = (d_y * normalised).reshape(-1, features).sum(axis=0)
    d_bias = d_y.reshape(-1, features).sum(axis=0)
    d_params = LayerNorm(d_weight, d_bias)
    return d_x, d_params


@checked
def gelu(
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    r"""GELU: a feature counts by the probability of a smaller one.

    $y = x \, \Phi(x)$, with $\Phi$ the normal distribution
    (Hendrycks and Gimpel 2016, section 2)

    BERT's form. GPT-2's is `gelu_tanh`; the two differ by up to 4.73e-4,
    near |x| = 2.70.
    """
    probability = normal_cdf(x)
    y = x * probability
    return y


@checked
def gelu_backward(
    d_y: Float[Array, "*shape"],
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    r"""Gradient of GELU: the product rule; $\Phi' = \varphi$, the density.

    $dx = dy \, (\Phi(x) + x \, \varphi(x))$,
    $\varphi(x) = e^{-x^2 / 2} / \sqrt{2 \pi}$
    """
    probability = normal_cdf(x)
    density = np.exp(-x * x / 2) / sqrt(2 * pi)
    d_probability = d_y * x
    d_x = d_y * probability + d_probability * density
    return d_x


@checked
def gelu_tanh(
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    r"""GELU by way of a hyperbolic tangent, as in GPT-2.

    $y = \frac{x}{2} \left(1 + \tanh\left(\sqrt{2 / \pi} \,
    (x + 0.044715 \, x^3)\right)\right)$
    (Hendrycks and Gimpel 2016, section 2)
    """
    cubic = x + 0.044715 * (x * x * x)
    tanh = np.tanh(sqrt(2 / pi) * cubic)
    y = x / 2 * (1 + tanh)
    return y


@checked
def gelu_tanh_backward(
    d_y: Float[Array, "*shape"],
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    r"""Gradient of GPT-2's GELU: the product rule; $\tanh' = 1 - \tanh^2$.

    With $u = x + 0.044715 \, x^3$ and $t = \tanh(\sqrt{2/\pi} \, u)$:
    $dt = dy \, x / 2$, $du = dt \, (1 - t^2) \sqrt{2 / \pi}$,
    $dx = dy \, (1 + t) / 2 + du \, (1 + 3 \cdot 0.044715 \, x^2)$
    """
    cubic = x + 0.044715 * (x * x * x)
    tanh = np.tanh(sqrt(2 / pi) * cubic)
    d_tanh = d_y * (x / 2)
    d_cubic = d_tanh * (1 - tanh * tanh) * sqrt(2 / pi)
    slope = 1 + 3 * 0.044715 * (x * x)
    d_x = d_y * ((1 + tanh) / 2) + d_cubic * slope
    return d_x


@checked
@dataclass(frozen=True, eq=False)
class FeedForward:
    """Feed-forward network: two linear layers, to d_ff and back."""

    inner: Linear
    output: Linear


@checked
def feed_forward(
    x: Float[Array, "*batch d_model"],
    params: FeedForward,
) -> Float[Array, "*batch d_model"]:
    r"""Position-wise feed-forward network: widen, apply GELU, project back.

    $Y = \operatorname{gelu}(X W_1^\top + b_1) W_2^\top + b_2$
    (Vaswani et al. 2017, section 3.3; with GELU as in Devlin et al. 2019)
    """
    inner = linear(x, params.inner)
    activated = gelu(inner)
    y = linear(activated, params.output)
    return y


@checked
def feed_forward_backward(
    d_y: Float[Array, "*batch d_model"],
    x: Float[Array, "*batch d_model"],
    params: FeedForward,
) -> tuple[Float[Array, "*batch d_model"], FeedForward]:
    """Gradient of the network: its three steps in reverse."""
    inner = linear(x, params.inner)
    activated = gelu(inner)
    d_activated, d_params_output = linear_backward(
        d_y, activated, params.output
    )
    d_inner = gelu_backward(d_activated, inner)
    d_x, d_params_inner = linear_backward(d_inner, x, params.inner)
    d_params = FeedForward(d_params_inner, d_params_output)
    return d_x, d_params


@checked
def feed_forward_tanh(
    x: Float[Array, "*batch d_model"],
    params: FeedForward,
) -> Float[Array, "*batch d_model"]:
    r"""Position-wise feed-forward network with GPT-2's form of GELU.

    $Y = \operatorname{gelu}(X W_1^\top + b_1) W_2^\top + b_2$
    """
    inner = linear(x, params.inner)
    activated = gelu_tanh(inner)
    y = linear(activated, params.output)
    return y


@checked
def feed_forward_tanh_backward(
    d_y: Float[Array, "*batch d_model"],
    x: Float[Array, "*batch d_model"],
    params: FeedForward,
) -> tuple[Float[Array, "*batch d_model"], FeedForward]:
    """Gradient of the network with GPT-2's form of GELU."""
    inner = linear(x, params.inner)
    activated = gelu_tanh(inner)
    d_activated, d_params_output = linear_backward(
        d_y, activated, params.output
    )
    d_inner = gelu_tanh_backward(d_activated, inner)
    d_x, d_params_inner = linear_backward(d_inner, x, params.inner)
    d_params = FeedForward(d_params_inner, d_params_output)
    return d_x, d_params
