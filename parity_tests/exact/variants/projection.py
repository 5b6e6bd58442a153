from parity_tests.bounds.gradients import over_tokens
from parity_tests.bounds.rounding import product

from ..numbers import parameters


def projection(x, params):
    y = product("...i,oi->...o", x, params.weight)
    return locals()


def projection_backward(d_y, x, params):
    d_x = product("...o,oi->...i", d_y, params.weight)
    d_params = parameters(weight=over_tokens(d_y, x))
    return locals()
