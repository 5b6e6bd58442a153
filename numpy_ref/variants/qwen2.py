"""Qwen 2: a Llama whose queries, keys and values have biases.

All else is as in `llama`, and done by the same functions (Yang et al.
2024, section 2.2.1). A module of PyTorch knows by itself whether it adds a
bias; here the parameters say so: `Linear` has one, `Projection` has none.
"""

from numpy import ndarray as Array

from ..layers import Linear, linear, linear_backward
from .projection import Projection, projection, projection_backward


def projected(x: Array, params: Projection | Linear) -> Array:
    """A linear map of the last axis, with a bias where there is one."""
    layer = linear if isinstance(params, Linear) else projection
    return layer(x, params)


def projected_backward(
    d_y: Array, x: Array, params: Projection | Linear
) -> tuple[Array, Projection | Linear]:
    """Gradient of that map, and of the bias where there is one."""
    is_biased = isinstance(params, Linear)
    backward = linear_backward if is_biased else projection_backward
    return backward(d_y, x, params)
