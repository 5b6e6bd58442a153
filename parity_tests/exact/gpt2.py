from parity_tests.bounds.rounding import product

from .embeddings import input_embedding, position_embedding, token_embedding
from .layers import layer_norm
from .masks import causal_padding_mask, positions_of_mask
from .self_attention import earlier
from .sublayers import attention_sublayer, feed_forward_sublayer


def decoder_block(x, params, mask, heads, epsilon):
    steps = attention_sublayer(
        x, params.attention_sublayer, mask, heads, epsilon
    )
    attention, after_attention = (
        steps[name] for name in ("attention", "after_attention")
    )
    hidden = feed_forward_sublayer(
        after_attention, params.feed_forward_sublayer, epsilon
    )["y"]
    layer = (*attention[:4], hidden)
    return locals()


def decoder(x, params, mask, heads, epsilon):
    layers, previous = [], x
    for block in params.blocks:
        steps = decoder_block(previous, block, mask, heads, epsilon)
        layer, previous = steps["layer"], steps["hidden"]
        layers.append(layer)
    return {"layers": layers, "layer": layer}


def gpt2(ids, params, heads, epsilon):
    x = input_embedding(ids, params.embedding)["x"]
    mask = earlier(ids.shape[-1])
    layers = decoder(x, params.decoder, mask, heads, epsilon)["layers"]
    normed = layer_norm(layers[-1][-1], params.norm, epsilon)["y"]
    logits = product("...i,vi->...v", normed, params.embedding.token.weight)
    return locals()


def padded_gpt2(ids, attention_mask, params, heads, epsilon):
    tables = params.embedding
    positions = positions_of_mask(attention_mask)["positions"]
    token_embeddings = token_embedding(ids, tables.token)["embedded"]
    position_embeddings = position_embedding(positions, tables.position)[
        "embedded"
    ]
    x = token_embeddings + position_embeddings
    mask = causal_padding_mask(attention_mask)["mask"]
    layers = decoder(x, params.decoder, mask, heads, epsilon)["layers"]
    normed = layer_norm(layers[-1][-1], params.norm, epsilon)["y"]
    logits = product("...i,vi->...v", normed, tables.token.weight)
    return locals()
