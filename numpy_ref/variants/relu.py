r"""ReLU, and the feed-forward network of 2017 with it.

Axes: `d_model` counts the features of a token.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

from ..checked import checked
from ..layers import FeedForward, linear, linear_backward


@checked
def relu(
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    r"""ReLU: what is below 0 becomes 0.

    $y = \max(0, x)$ (Nair and Hinton 2010, section 2)
    """
    y = np.maximum(x, 0)
    return y


@checked
def relu_backward(
    d_y: Float[Array, "*shape"],
    x: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    r"""Gradient of ReLU: it goes on where x is above 0.

    $dx = dy \, [\,x > 0\,]$

    At 0 there is no slope; 0 is taken, as by PyTorch.
    """
    d_x = np.where(x > 0, d_y, 0)
    return d_x


@checked
def feed_forward_relu(
    x: Float[Array, "*batch d_model"],
    params: FeedForward,
) -> Float[Array, "*batch d_model"]:
    r"""Position-wise feed-forward network with ReLU.

    $Y = \max(0, X W_1^\top + b_1) W_2^\top + b_2$
    (Vaswani et al. 2017, section 3.3, equation 2)
    """
    inner = linear(x, params.inner)
    activated = relu(inner)
    y = linear(activated, params.output)
    return y


@checked
def feed_forward_relu_backward(
    d_y: Float[Array, "*batch d_model"],
    x: Float[Array, "*batch d_model"],
    params: FeedForward,
) -> tuple[Float[Array, "*batch d_model"], FeedForward]:
    """Gradient of the network: its three steps in reverse."""
    inner = linear(x, params.inner)
    activated = relu(inner)
    d_activated, d_params_output = linear_backward(
        d_y, activated, params.output
    )
    d_inner = relu_backward(d_activated, inner)
    d_x, d_params_inner = linear_backward(d_inner, x, params.inner)
    d_params = FeedForward(d_params_inner, d_params_output)
    return d_x, d_params
