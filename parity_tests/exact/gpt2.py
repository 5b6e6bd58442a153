from parity_tests.bounds.rounding import product

from .embeddings import input_embedding
from .layers import layer_norm
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
