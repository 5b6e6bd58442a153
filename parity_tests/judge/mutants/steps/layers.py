"""Mutants of the layers for one token: linear, dropout, norm, GELU."""

from collections.abc import Callable
from functools import partial
from math import pi, sqrt

import numpy as np

from numpy_ref.layers import gelu, gelu_tanh, linear
from numpy_ref.normal_distribution import normal_cdf

from .pieces import Mutants, density, mean, nothing_done, sigmoid

LINEAR: Mutants = {
    "the weight is not transposed": (
        lambda x, params: x @ params.weight + params.bias
    ),
    "the bias is left out": lambda x, params: x @ params.weight.T,
    "the bias is added twice": (
        lambda x, params: linear(x, params) + params.bias
    ),
    "the bias is subtracted": (
        lambda x, params: x @ params.weight.T - params.bias
    ),
}

DROPOUT: Mutants = {
    "what is kept is not scaled up": (
        lambda x, dropout_mask, rate: np.where(dropout_mask, x, 0)
    ),
    "the dropout mask is inverted: what should stay is dropped": (
        lambda x, dropout_mask, rate: (
            np.where(dropout_mask, 0, x) / (1 - rate)
        )
    ),
    "the dropout mask is inverted, and what stays is not scaled up": (
        lambda x, dropout_mask, rate: np.where(dropout_mask, 0, x)
    ),
    "what is kept is divided by the rate, not by 1 - rate": (
        lambda x, dropout_mask, rate: np.where(dropout_mask, x, 0) / rate
    ),
    "what is kept is multiplied by 1 - rate, not divided": (
        lambda x, dropout_mask, rate: (
            np.where(dropout_mask, x, 0) * (1 - rate)
        )
    ),
    "nothing is dropped": lambda x, dropout_mask, rate: x,
    "nothing is dropped, and all is scaled up": (
        lambda x, dropout_mask, rate: x / (1 - rate)
    ),
}
DROPPED_BY_A_PRODUCT: Mutants = {
    "what is dropped is multiplied by 0: an infinity becomes NaN": (
        lambda x, dropout_mask, rate: x * dropout_mask / (1 - rate)
    ),
}


def normed(x, params, epsilon, axis=-1, unbiased=0, outside=0):
    """Layer norm along any axis, with any variance."""
    centred = x - x.mean(axis=axis, keepdims=True)
    variance = x.var(axis=axis, keepdims=True, ddof=unbiased)
    normal = centred / (np.sqrt(variance + epsilon) + outside)
    return normal * params.weight + params.bias


def normal(x, epsilon):
    """The normalised features, before weight and bias."""
    return (x - mean(x)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)


def divided(x, params, deviation):
    return x / deviation * params.weight + params.bias


LAYER_NORM: Mutants = {
    "the variance is unbiased: divided by d - 1, not d": partial(
        normed, unbiased=1
    ),
    "epsilon is added outside the root": (
        lambda x, params, epsilon: normed(x, params, 0, outside=epsilon)
    ),
    "the variance is unbiased, and epsilon is added outside the root": (
        lambda x, params, epsilon: normed(x, params, 0, -1, 1, epsilon)
    ),
    "epsilon is left out, or next to nothing": (
        lambda x, params, _: normed(x, params, 0)
    ),
    "epsilon is 1e-5, whatever is given": (
        lambda x, params, _: normed(x, params, 1e-5)
    ),
    "the norm runs along the first axis, not the features": partial(
        normed, axis=0
    ),
    "the norm runs along the positions, not the features": partial(
        normed, axis=-2
    ),
    "the norm runs along positions and features together": partial(
        normed, axis=(-2, -1)
    ),
    "the norm runs along everything, the batch included": partial(
        normed, axis=None
    ),
    "the weight is left out": (
        lambda x, params, epsilon: normal(x, epsilon) + params.bias
    ),
    "the bias is left out": (
        lambda x, params, epsilon: normal(x, epsilon) * params.weight
    ),
    "weight and bias are left out": lambda x, _, e: normal(x, e),
    "the bias is added before the weight is multiplied": (
        lambda x, params, epsilon: (
            (normal(x, epsilon) + params.bias) * params.weight
        )
    ),
    "the mean is subtracted in the variance only": (
        lambda x, params, epsilon: divided(
            x, params, np.sqrt(x.var(-1, keepdims=True) + epsilon)
        )
    ),
    "the mean is not subtracted: that is RMSNorm": (
        lambda x, params, epsilon: divided(
            x, params, np.sqrt(mean(x * x) + epsilon)
        )
    ),
    "it is divided by the variance, not by its root": (
        lambda x, params, epsilon: divided(
            x - mean(x), params, x.var(-1, keepdims=True) + epsilon
        )
    ),
    "it is not divided by the deviation": (
        lambda x, params, _: divided(x - mean(x), params, 1)
    ),
}


def gelu_with(inside: Callable) -> Callable:
    """GPT-2's GELU with another argument of the hyperbolic tangent."""
    return lambda x: x / 2 * (1 + np.tanh(inside(x)))


GELU_LIKE: Mutants = {
    "it is the form with a sigmoid, x / (1 + exp(-1.702 x))": (
        lambda x: x * sigmoid(1.702 * x)
    ),
    "it is a SiLU, x / (1 + exp(-x))": lambda x: x * sigmoid(x),
    "it is a ReLU": lambda x: np.where(x < 0, 0, x),
    "it is the probability alone, not multiplied by x": normal_cdf,
    "x is multiplied by the normal density, not the distribution": (
        lambda x: x * density(x)
    ),
    "the root of 2 is forgotten: erf(x), not erf(x / √2)": (
        lambda x: x * normal_cdf(sqrt(2) * x)
    ),
    "the cube is forgotten": gelu_with(lambda x: sqrt(2 / pi) * x),
    "√(2/π) is forgotten": gelu_with(lambda x: x + 0.044715 * x**3),
    "√(2/π) does not act on the cube": gelu_with(
        lambda x: sqrt(2 / pi) * x + 0.044715 * x**3
    ),
    "the root of 2/π is forgotten": gelu_with(
        lambda x: 2 / pi * (x + 0.044715 * x**3)
    ),
}
GELU: Mutants = GELU_LIKE | {
    "it is GPT-2's form, with tanh": gelu_tanh,
    "the half is forgotten": lambda x: 2 * gelu(x),
}
GELU_TANH: Mutants = GELU_LIKE | {
    "it is the exact form, with the normal distribution": gelu,
    "the half is forgotten": lambda x: 2 * gelu_tanh(x),
}


def feed_forward(x, params, activation, into=linear, out=linear):
    """A feed-forward network of any three parts."""
    return out(activation(into(x, params.inner)), params.output)


def feed_forward_mutants(right: Callable, others: Mutants) -> Mutants:
    """The mutants of a feed-forward network with this activation."""
    activated_out = partial(
        feed_forward, out=lambda x, layer: right(linear(x, layer))
    )
    return (
        {
            n: partial(feed_forward, activation=other)
            for n, other in others.items()
        }
        | {
            f"{n}, in the {place} layer": partial(
                feed_forward, activation=right, **{part: mutant}
            )
            for place, part in (("first", "into"), ("second", "out"))
            for n, mutant in LINEAR.items()
        }
        | {
            "the activation is left out": partial(
                feed_forward, activation=nothing_done
            ),
            "the second layer is left out": partial(
                feed_forward, activation=right, out=nothing_done
            ),
            "the activation comes after the second layer": partial(
                activated_out, activation=nothing_done
            ),
            "there is an activation after the second layer, too": partial(
                activated_out, activation=right
            ),
        }
    )


MUTANTS: dict[str, Mutants] = {
    "dropout": DROPOUT | DROPPED_BY_A_PRODUCT,
    "feed_forward": feed_forward_mutants(gelu, GELU),
    "feed_forward_tanh": feed_forward_mutants(gelu_tanh, GELU_TANH),
    "gelu": GELU,
    "gelu_tanh": GELU_TANH,
    "layer_norm": LAYER_NORM,
    "linear": LINEAR,
}
