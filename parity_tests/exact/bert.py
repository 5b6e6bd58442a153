from parity_tests.bounds.layers import hyperbolic_tangent
from parity_tests.bounds.rounding import (
    affine,
    distribution,
    scaled_scores,
    weighted_mean,
)

from .embeddings import token_embedding
from .layers import feed_forward, gelu, layer_norm
from .multi_head import merge_heads, split_heads
from .self_attention import query_key_value


def bert_embedding(ids, segments, params, epsilon):
    tokens = token_embedding(ids, params.token)["embedded"]
    positions = list(range(ids.shape[-1]))
    places = params.position.weight.moved(lambda rows: rows[positions])
    kinds = token_embedding(segments, params.segment)["embedded"]
    total = tokens + kinds + places
    x = layer_norm(total, params.norm, epsilon)["y"]
    return locals()


def encoder_block(x, params, mask, heads, epsilon):
    query, key, value = (
        split_heads(part, heads)["split"]
        for part in query_key_value(x, params.attention)
    )
    head_mask = mask[..., None, :, :]
    weights = distribution(scaled_scores(query, key), head_mask)
    context = weighted_mean(weights, value)
    merged = merge_heads(context)["merged"]
    output = params.attention.output
    attended = x + affine(merged, output.weight, output.bias)
    normed = layer_norm(attended, params.attention_norm, epsilon)["y"]
    fed = normed + feed_forward(normed, params.feed_forward)["y"]
    hidden = layer_norm(fed, params.feed_forward_norm, epsilon)["y"]
    layer = (query, key, value, weights, hidden)
    return locals()


def encoder(x, params, mask, heads, epsilon):
    layers, came = [], x
    for block in params.blocks:
        steps = encoder_block(came, block, mask, heads, epsilon)
        layer, came = steps["layer"], steps["hidden"]
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
