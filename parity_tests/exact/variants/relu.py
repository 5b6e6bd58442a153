import numpy as np

from parity_tests.bounds.rounding import Bounded, absolute, affine

from ..layers import linear_backward
from ..numbers import parameters


def relu(x):
    """No steeper than 1: it makes no error larger."""
    y = Bounded(np.where(x.value > 0, x.value, 0), x.error, x.rounding)
    return {"y": y}


def relu_backward(d_y, x):
    """Where x may be 0 or either side of it, the slope may be 0 or 1."""
    above = x.value > 0
    unsure = absolute(x.value) <= x.error
    error = np.where(above, d_y.error, 0)
    error = np.where(unsure, d_y.magnitude, error)
    return {
        "d_x": Bounded(np.where(above, d_y.value, 0), error, x.rounding)
    }


def feed_forward_relu(x, params):
    inner = affine(x, params.inner.weight, params.inner.bias)
    activated = relu(inner)["y"]
    y = affine(activated, params.output.weight, params.output.bias)
    return locals()


def feed_forward_relu_backward(d_y, x, params):
    steps = feed_forward_relu(x, params)
    outer = linear_backward(d_y, steps["activated"], params.output)
    d_activated = outer["d_x"]
    d_inner = relu_backward(d_activated, steps["inner"])["d_x"]
    first = linear_backward(d_inner, x, params.inner)
    d_x = first["d_x"]
    d_params = parameters(inner=first["d_params"], output=outer["d_params"])
    return locals()
