from parity_tests.bounds.gradients import along_paths
from parity_tests.bounds.layers import sigmoid
from parity_tests.bounds.rounding import product

from ..numbers import constant, parameters
from .projection import projection_backward


def silu(x):
    gate = sigmoid(x)
    y = x * gate
    return locals()


def silu_backward(d_y, x):
    gate = sigmoid(x)
    d_gate = d_y * x
    d_x = d_y * gate + d_gate * gate * (constant(x, 1) - gate)
    return locals()


def swiglu(x, params):
    gate, up = (
        product("...i,oi->...o", x, layer.weight)
        for layer in (params.gate, params.up)
    )
    opened = silu(gate)["y"]
    gated = opened * up
    y = product("...i,oi->...o", gated, params.down.weight)
    return locals()


def swiglu_backward(d_y, x, params):
    steps = swiglu(x, params)
    down = projection_backward(d_y, steps["gated"], params.down)
    d_gated = down["d_x"]
    d_opened, d_up = d_gated * steps["up"], d_gated * steps["opened"]
    d_gate = silu_backward(d_opened, steps["gate"])["d_x"]
    gate = projection_backward(d_gate, x, params.gate)
    up = projection_backward(d_up, x, params.up)
    paths = (gate["d_x"], up["d_x"])
    d_x = along_paths(*paths)
    d_params = parameters(
        gate=gate["d_params"], up=up["d_params"], down=down["d_params"]
    )
    return locals()
