import math

from parity_tests.bounds import layers as layer_bounds
from parity_tests.bounds.gradients import (
    along_paths,
    negative,
    over_tokens,
    quotient,
    total_of_tokens,
)
from parity_tests.bounds.rounding import (
    affine,
    apply,
    exponential,
    like,
    product,
    where,
)

from .numbers import constant, parameters


def linear(x, params):
    y = affine(x, params.weight, params.bias)
    return locals()


def linear_backward(d_y, x, params):
    d_x = product("...o,oi->...i", d_y, params.weight)
    d_weight = over_tokens(d_y, x)
    d_bias = total_of_tokens(d_y)
    d_params = parameters(weight=d_weight, bias=d_bias)
    return locals()


def dropout(x, dropout_mask, rate):
    kept = where(dropout_mask, x, 0)
    y = kept.over(like(x, 1) - rate)
    return locals()


def dropout_backward(d_y, x, dropout_mask, rate):
    d_kept = d_y.over(like(x, 1) - rate)
    d_x = where(dropout_mask, d_kept, 0)
    return locals()


def layer_norm(x, params, epsilon):
    mean = layer_bounds.mean(x)
    centred = x - mean
    variance = layer_bounds.variance(x, mean)
    deviation = layer_bounds.root(variance + constant(x, epsilon))
    normalised = layer_bounds.normalised(centred, deviation)
    y = normalised * params.weight + params.bias
    return locals()


def layer_norm_backward(d_y, x, params, epsilon):
    features, least = x.shape[-1], math.sqrt(epsilon) * (1 - 1e-6)
    steps = layer_norm(x, params, epsilon)
    centred, deviation = steps["centred"], steps["deviation"]
    normalised = steps["normalised"]
    d_normalised = d_y * params.weight
    dot = (d_normalised * normalised).total()
    d_deviation = negative(quotient(dot, deviation, least))
    d_variance = quotient(d_deviation.over(2), deviation, least)
    spread = (centred * d_variance).times(2).over(features)
    d_centred = quotient(d_normalised, deviation, least) + spread
    d_mean = negative(d_centred.total())
    paths = (d_centred, d_mean.over(features))
    d_x = along_paths(*paths)
    d_weight = total_of_tokens(d_y * normalised)
    d_bias = total_of_tokens(d_y)
    d_params = parameters(weight=d_weight, bias=d_bias)
    return locals()


def gelu(x):
    probability = layer_bounds.normal_cdf(x)
    y = x * probability
    return locals()


def gelu_backward(d_y, x):
    probability = layer_bounds.normal_cdf(x)
    power = negative((x * x).over(2))
    density = exponential(power).over(math.sqrt(2 * math.pi))
    d_probability = d_y * x
    d_x = d_y * probability + d_probability * density
    return locals()


def gelu_tanh(x):
    cubic = x + (x * x * x).times(like(x, 0.044715))
    slope = apply("sqrt", like(x, 2 / math.pi))
    tanh = layer_bounds.hyperbolic_tangent(cubic.times(slope))
    y = x.over(2) * (constant(x, 1) + tanh)
    return locals()


def gelu_tanh_backward(d_y, x):
    tanh = gelu_tanh(x)["tanh"]
    one, factor = constant(x, 1), math.sqrt(2 / math.pi)
    d_tanh = (d_y * x).over(2)
    d_cubic = (d_tanh * (one - tanh * tanh)).times(factor)
    d_cube = d_cubic * (x * x).times(3 * 0.044715)
    d_x = along_paths((d_y * (one + tanh)).over(2), d_cubic, d_cube)
    return locals()


def feed_forward(x, params):
    inner = affine(x, params.inner.weight, params.inner.bias)
    activated = gelu(inner)["y"]
    y = affine(activated, params.output.weight, params.output.bias)
    return locals()


def feed_forward_backward(d_y, x, params):
    steps = feed_forward(x, params)
    outer = linear_backward(d_y, steps["activated"], params.output)
    d_activated = outer["d_x"]
    d_inner = gelu_backward(d_activated, steps["inner"])["d_x"]
    first = linear_backward(d_inner, x, params.inner)
    d_x = first["d_x"]
    d_params = parameters(inner=first["d_params"], output=outer["d_params"])
    return locals()


def feed_forward_tanh(x, params):
    inner = affine(x, params.inner.weight, params.inner.bias)
    activated = gelu_tanh(inner)["y"]
    y = affine(activated, params.output.weight, params.output.bias)
    return locals()


def feed_forward_tanh_backward(d_y, x, params):
    steps = feed_forward_tanh(x, params)
    outer = linear_backward(d_y, steps["activated"], params.output)
    d_activated = outer["d_x"]
    d_inner = gelu_tanh_backward(d_activated, steps["inner"])["d_x"]
    first = linear_backward(d_inner, x, params.inner)
    d_x = first["d_x"]
    d_params = parameters(inner=first["d_params"], output=outer["d_params"])
    return locals()
