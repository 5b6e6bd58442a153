from math import sqrt

from parity_tests.bounds import layers as layer_bounds
from parity_tests.bounds.gradients import (
    along_paths,
    negative,
    quotient,
    total_of_tokens,
)

from ..numbers import constant, parameters


def rms_norm(x, params, epsilon):
    mean_square = layer_bounds.mean(x * x)
    root_mean_square = layer_bounds.root(mean_square + constant(x, epsilon))
    normalised = layer_bounds.normalised(x, root_mean_square)
    y = normalised * params.weight
    return locals()


def rms_norm_backward(d_y, x, params, epsilon):
    features, least = x.shape[-1], sqrt(epsilon) * (1 - 1e-6)
    steps = rms_norm(x, params, epsilon)
    size, normalised = steps["root_mean_square"], steps["normalised"]
    d_normalised = d_y * params.weight
    dot = (d_normalised * normalised).total()
    d_root_mean_square = negative(quotient(dot, size, least))
    d_mean_square = quotient(d_root_mean_square.over(2), size, least)
    paths = (
        quotient(d_normalised, size, least),
        (x * d_mean_square).times(2).over(features),
    )
    d_x = along_paths(*paths)
    d_weight = total_of_tokens(d_y * normalised)
    d_params = parameters(weight=d_weight)
    return locals()
