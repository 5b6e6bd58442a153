from parity_tests.bounds.gradients import along_paths
from parity_tests.bounds.rounding import affine

from ..layers import layer_norm, layer_norm_backward
from ..multi_head import merge_heads
from ..numbers import parameters
from .cross_attention import (
    cross_attention,
    cross_attention_backward,
    open_cross_heads,
)
from .relu import feed_forward_relu, feed_forward_relu_backward


def post_norm_attention(x, source, params, mask, heads, epsilon):
    steps = open_cross_heads(x, source, params.attention, mask, heads)
    attention = steps["attention"]
    merged = merge_heads(steps["context"])["merged"]
    output = params.attention.output
    attention_output = affine(merged, output.weight, output.bias)
    attention_sum = x + attention_output
    after_attention = layer_norm(attention_sum, params.norm, epsilon)["y"]
    return locals()


def post_norm_attention_backward(
    d_after_attention, x, source, params, mask, heads, epsilon
):
    attention_output = cross_attention(
        x, source, params.attention, mask, heads
    )["y"]
    outer = layer_norm_backward(
        d_after_attention, x + attention_output, params.norm, epsilon
    )
    d_attention_sum = d_attention_output = outer["d_x"]
    inner = cross_attention_backward(
        d_attention_output, x, source, params.attention, mask, heads
    )
    past_and_through = (*outer["paths"], inner["d_x"])
    d_x, d_source = along_paths(*past_and_through), inner["d_source"]
    # Of a text that is its own source.
    paths = (*past_and_through, *inner["paths"])
    d_params = parameters(
        attention=inner["d_params"], norm=outer["d_params"]
    )
    return locals()


def post_norm_feed_forward(x, params, epsilon):
    mlp_output = feed_forward_relu(x, params.feed_forward)["y"]
    mlp_sum = x + mlp_output
    y = layer_norm(mlp_sum, params.norm, epsilon)["y"]
    return locals()


def post_norm_feed_forward_backward(d_y, x, params, epsilon):
    steps = post_norm_feed_forward(x, params, epsilon)
    outer = layer_norm_backward(d_y, steps["mlp_sum"], params.norm, epsilon)
    d_mlp_sum = d_mlp_output = outer["d_x"]
    inner = feed_forward_relu_backward(d_mlp_output, x, params.feed_forward)
    d_x = along_paths(*outer["paths"], inner["d_x"])
    d_params = parameters(
        feed_forward=inner["d_params"], norm=outer["d_params"]
    )
    return locals()
