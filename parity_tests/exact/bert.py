from parity_tests.bounds.layers import hyperbolic_tangent
from parity_tests.bounds.rounding import affine

from .embeddings import token_embedding
from .layers import feed_forward, gelu, layer_norm
from .multi_head import merge_heads, open_heads


def bert_embedding(ids, segments, params, epsilon):
    token_embeddings = token_embedding(ids, params.token)["embedded"]
    positions = list(range(ids.shape[-1]))
    position_embeddings = params.position.weight.moved(
        lambda rows: rows[positions]
    )
    segment_embeddings = token_embedding(segments, params.segment)[
        "embedded"
    ]
    total = token_embeddings + segment_embeddings + position_embeddings
    x = layer_norm(total, params.norm, epsilon)["y"]
    return locals()


def encoder_block(x, params, mask, heads, epsilon):
    steps = open_heads(x, params.attention, mask, heads)
    attention = steps["attention"]
    merged = merge_heads(steps["context"])["merged"]
    output = params.attention.output
    attention_output = affine(merged, output.weight, output.bias)
    attention_sum = x + attention_output
    after_attention = layer_norm(
        attention_sum, params.attention_norm, epsilon
    )["y"]
    mlp_output = feed_forward(after_attention, params.feed_forward)["y"]
    mlp_sum = after_attention + mlp_output
    hidden = layer_norm(mlp_sum, params.feed_forward_norm, epsilon)["y"]
    layer = (*attention[:4], hidden)
    return locals()


def encoder(x, params, mask, heads, epsilon):
    layers, previous = [], x
    for block in params.blocks:
        steps = encoder_block(previous, block, mask, heads, epsilon)
        layer, previous = steps["layer"], steps["hidden"]
        layers.append(layer)
    return {"layers": layers, "layer": layer}


def bert(ids, segments, mask, params, heads, epsilon):
    x = bert_embedding(ids, segments, params.embedding, epsilon)["x"]
    layers = encoder(x, params.encoder, mask, heads, epsilon)["layers"]
    return locals()


def pooler(x, params):
    start = x.moved(lambda a: a[..., 0, :])
    first = affine(start, params.dense.weight, params.dense.bias)
    pooled = hyperbolic_tangent(first)
    return locals()


def masked_language_head(x, params, epsilon):
    dense = affine(x, params.dense.weight, params.dense.bias)
    activated = gelu(dense)["y"]
    normed = layer_norm(activated, params.norm, epsilon)["y"]
    decoder = params.decoder
    logits = affine(normed, decoder.weight, decoder.bias)
    return locals()
