from parity_tests.bounds.rounding import (
    affine,
    distribution,
    product,
    scaled_scores,
    weighted_mean,
)

from .embeddings import input_embedding
from .layers import (
    gelu_tanh,
    gelu_tanh_backward,
    layer_norm,
    linear_backward,
)
from .multi_head import merge_heads, query_key_value, split_heads
from .numbers import parameters
from .self_attention import earlier


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


def decoder_block(x, params, mask, heads, epsilon):
    normed = layer_norm(x, params.attention_norm, epsilon)["y"]
    query, key, value = split_query_key_value(normed, params, heads)
    head_mask = mask[..., None, :, :]
    weights = distribution(scaled_scores(query, key), head_mask)
    context = weighted_mean(weights, value)
    steps = attended_and_fed(x, context, params, epsilon)
    layer = (query, key, value, weights, steps["hidden"])
    return locals() | steps


def split_query_key_value(normed, params, heads):
    return [
        split_heads(part, heads)["split"]
        for part in query_key_value(normed, params.attention)
    ]


def attended_and_fed(x, context, params, epsilon):
    """What a block does with what its attention found."""
    merged = merge_heads(context)["merged"]
    output = params.attention.output
    attended = x + affine(merged, output.weight, output.bias)
    ready = layer_norm(attended, params.feed_forward_norm, epsilon)["y"]
    hidden = attended + feed_forward_tanh(ready, params.feed_forward)["y"]
    return locals()


def decoder(x, params, mask, heads, epsilon):
    layers, came = [], x
    for block in params.blocks:
        steps = decoder_block(came, block, mask, heads, epsilon)
        layer, came = steps["layer"], steps["hidden"]
        layers.append(layer)
    return {"layers": layers, "layer": layer}


def gpt2(ids, params, heads, epsilon):
    x = input_embedding(ids, params.embedding)["x"]
    mask = earlier(ids.shape[-1])
    layers = decoder(x, params.decoder, mask, heads, epsilon)["layers"]
    normed = layer_norm(layers[-1][-1], params.norm, epsilon)["y"]
    logits = product("...i,vi->...v", normed, params.embedding.token.weight)
    return locals()
