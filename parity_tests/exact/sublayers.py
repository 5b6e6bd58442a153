from parity_tests.bounds.gradients import along_paths
from parity_tests.bounds.rounding import affine

from .layers import (
    dropout,
    dropout_backward,
    feed_forward_tanh,
    feed_forward_tanh_backward,
    layer_norm,
    layer_norm_backward,
)
from .multi_head import (
    merge_heads,
    multi_head_attention_backward,
    multi_head_attention_with_dropout,
    multi_head_attention_with_dropout_backward,
    open_heads,
)
from .numbers import parameters


def attention_sublayer(x, params, mask, heads, epsilon):
    normed = layer_norm(x, params.norm, epsilon)["y"]
    steps = open_heads(normed, params.attention, mask, heads)
    return locals() | mixed_and_added(x, steps, params)


def mixed_and_added(x, steps, params):
    """From the contexts of the heads to what leaves the sublayer."""
    attention = steps["attention"]
    merged = merge_heads(steps["context"])["merged"]
    output = params.attention.output
    attention_output = affine(merged, output.weight, output.bias)
    after_attention = x + attention_output
    return locals()


def attention_sublayer_backward(
    d_after_attention, x, params, mask, heads, epsilon
):
    normed = layer_norm(x, params.norm, epsilon)["y"]
    inner = multi_head_attention_backward(
        d_after_attention, normed, params.attention, mask, heads
    )
    return through_norm(d_after_attention, inner, x, params, epsilon)


def through_norm(d_after_attention, inner, x, params, epsilon):
    """Past the attention, and through its norm."""
    d_attention_output = d_dropped = d_after_attention
    d_normed = inner["d_x"]
    outer = layer_norm_backward(d_normed, x, params.norm, epsilon)
    d_x = along_paths(d_after_attention, *outer["paths"])
    d_params = parameters(
        norm=outer["d_params"], attention=inner["d_params"]
    )
    return locals()


def feed_forward_sublayer(x, params, epsilon):
    mlp_input = layer_norm(x, params.norm, epsilon)["y"]
    mlp_output = feed_forward_tanh(mlp_input, params.feed_forward)["y"]
    y = x + mlp_output
    return locals()


def feed_forward_sublayer_backward(d_y, x, params, epsilon):
    return network_backward(d_y, d_y, x, params, epsilon)


def network_backward(d_y, d_mlp_output, x, params, epsilon):
    """Past the network, and through it and its norm."""
    d_dropped = d_y
    mlp_input = layer_norm(x, params.norm, epsilon)["y"]
    inner = feed_forward_tanh_backward(
        d_mlp_output, mlp_input, params.feed_forward
    )
    d_mlp_input = inner["d_x"]
    outer = layer_norm_backward(d_mlp_input, x, params.norm, epsilon)
    d_x = along_paths(d_y, *outer["paths"])
    d_params = parameters(
        norm=outer["d_params"], feed_forward=inner["d_params"]
    )
    return locals()


def attention_sublayer_with_dropout(
    x, params, mask, dropout_masks, rate, heads, epsilon
):
    normed = layer_norm(x, params.norm, epsilon)["y"]
    attention_output = multi_head_attention_with_dropout(
        normed, params.attention, mask, dropout_masks.weights, rate, heads
    )["y"]
    dropped = dropout(
        attention_output, dropout_masks.attention_output, rate
    )["y"]
    after_attention = x + dropped
    return locals()


def attention_sublayer_with_dropout_backward(
    d_after_attention, x, params, mask, dropout_masks, rate, heads, epsilon
):
    normed = layer_norm(x, params.norm, epsilon)["y"]
    d_attention_output = dropout_backward(
        d_after_attention, x, dropout_masks.attention_output, rate
    )["d_x"]
    inner = multi_head_attention_with_dropout_backward(
        *(d_attention_output, normed, params.attention, mask),
        *(dropout_masks.weights, rate, heads),
    )
    steps = through_norm(d_after_attention, inner, x, params, epsilon)
    return steps | {"d_attention_output": d_attention_output}


def feed_forward_sublayer_with_dropout(
    x, params, dropout_masks, rate, epsilon
):
    mlp_input = layer_norm(x, params.norm, epsilon)["y"]
    mlp_output = feed_forward_tanh(mlp_input, params.feed_forward)["y"]
    dropped = dropout(mlp_output, dropout_masks.mlp_output, rate)["y"]
    y = x + dropped
    return locals()


def feed_forward_sublayer_with_dropout_backward(
    d_y, x, params, dropout_masks, rate, epsilon
):
    d_mlp_output = dropout_backward(d_y, x, dropout_masks.mlp_output, rate)[
        "d_x"
    ]
    return network_backward(d_y, d_mlp_output, x, params, epsilon)
