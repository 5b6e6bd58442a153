from parity_tests.bounds.rounding import affine

from ..bert import bert_embedding
from ..layers import feed_forward_tanh, gelu_tanh, layer_norm
from ..multi_head import merge_heads, open_heads


def albert_embedding(ids, segments, params, epsilon):
    narrow = bert_embedding(ids, segments, params.narrow, epsilon)["x"]
    x = affine(narrow, params.projection.weight, params.projection.bias)
    return locals()


def encoder_block_tanh(x, params, mask, heads, epsilon):
    steps = open_heads(x, params.attention, mask, heads)
    attention = steps["attention"]
    merged = merge_heads(steps["context"])["merged"]
    output = params.attention.output
    attention_output = affine(merged, output.weight, output.bias)
    attention_sum = x + attention_output
    after_attention = layer_norm(
        attention_sum, params.attention_norm, epsilon
    )["y"]
    mlp_output = feed_forward_tanh(after_attention, params.feed_forward)[
        "y"
    ]
    mlp_sum = after_attention + mlp_output
    hidden = layer_norm(mlp_sum, params.feed_forward_norm, epsilon)["y"]
    layer = (*attention[:4], hidden)
    return locals()


def shared_encoder(x, params, mask, heads, epsilon, depth):
    layers, previous = [], x
    for _ in range(depth):
        steps = encoder_block_tanh(
            previous, params.block, mask, heads, epsilon
        )
        layer, previous = steps["layer"], steps["hidden"]
        layers.append(layer)
    return {"layers": layers, "layer": layer}


def albert(ids, segments, mask, params, heads, epsilon, depth):
    x = albert_embedding(ids, segments, params.embedding, epsilon)["x"]
    layers = shared_encoder(x, params.encoder, mask, heads, epsilon, depth)[
        "layers"
    ]
    return locals()


def masked_language_head_tanh(x, params, epsilon):
    dense = affine(x, params.dense.weight, params.dense.bias)
    activated = gelu_tanh(dense)["y"]
    normed = layer_norm(activated, params.norm, epsilon)["y"]
    decoder = params.decoder
    logits = affine(normed, decoder.weight, decoder.bias)
    return locals()
