import math

from .. import layer_bounds
from ..bounds import affine, apply, like, product, where
from .numbers import constant


def linear(x, params):
    projected = product("...i,oi->...o", x, params.weight)
    y = affine(x, params.weight, params.bias)
    return locals()


def dropout(x, keep, rate):
    kept = where(keep, x, 0)
    y = kept.over(like(x, 1) - rate)
    return locals()


def layer_norm(x, params, epsilon):
    mean = layer_bounds.mean(x)
    centred = x - mean
    variance = layer_bounds.variance(x, mean)
    deviation = layer_bounds.root(variance + constant(x, epsilon))
    normalised = layer_bounds.normalised(centred, deviation)
    y = normalised * params.weight + params.bias
    return locals()


def gelu(x):
    probability = layer_bounds.normal_cdf(x)
    y = x * probability
    return locals()


def gelu_tanh(x):
    cubic = x + (x * x * x).times(like(x, 0.044715))
    slope = apply("sqrt", like(x, 2 / math.pi))
    bent = layer_bounds.hyperbolic_tangent(cubic.times(slope))
    y = x.over(2) * (constant(x, 1) + bent)
    return locals()


def feed_forward(x, params):
    inner = affine(x, params.inner.weight, params.inner.bias)
    activated = gelu(inner)["y"]
    y = affine(activated, params.output.weight, params.output.bias)
    return locals()
