import numpy as np

from parity_tests.bounds.gradients import along_paths
from parity_tests.bounds.rounding import apply, like, product

from ..embeddings import (
    sinusoidal_positions,
    token_embedding,
    token_embedding_backward,
)
from ..numbers import known_exactly, parameters
from ..self_attention import earlier
from .post_norm import (
    post_norm_attention,
    post_norm_attention_backward,
    post_norm_feed_forward,
    post_norm_feed_forward_backward,
)


def transformer_embedding(ids, params):
    embedded = token_embedding(ids, params.token)["embedded"]
    scaled = embedded.times(root_of_features(embedded))
    count, d_model = scaled.shape[-2:]
    positions = known_exactly(np.arange(count), scaled)
    x = scaled + sinusoidal_positions(positions, d_model)["encoded"]
    return locals()


def root_of_features(x):
    return apply("sqrt", like(x, x.shape[-1]))


def transformer_embedding_backward(d_x, ids, params):
    d_scaled = d_x
    d_embedded = d_scaled.times(root_of_features(d_x))
    token = token_embedding_backward(d_embedded, ids, params.token)
    d_params = parameters(token=token["d_params"])
    return locals()


def transformer_encoder_block(x, params, mask, heads, epsilon):
    steps = post_norm_attention(
        x, x, params.self_attention, mask, heads, epsilon
    )
    after_attention, attention = (
        steps[name] for name in ("after_attention", "attention")
    )
    hidden = post_norm_feed_forward(
        after_attention, params.feed_forward, epsilon
    )["y"]
    return locals()


def transformer_encoder_block_backward(
    d_hidden, after_attention, x, params, mask, heads, epsilon
):
    outer = post_norm_feed_forward_backward(
        d_hidden, after_attention, params.feed_forward, epsilon
    )
    d_after_attention = outer["d_x"]
    inner = post_norm_attention_backward(
        *(d_after_attention, x, x, params.self_attention),
        *(mask, heads, epsilon),
    )
    d_x = along_paths(*inner["paths"])
    d_params = parameters(
        self_attention=inner["d_params"], feed_forward=outer["d_params"]
    )
    return locals()


def transformer_encoder(x, params, mask, heads, epsilon):
    layers, previous = [], x
    for block in params.blocks:
        steps = transformer_encoder_block(
            previous, block, mask, heads, epsilon
        )
        previous = steps["hidden"]
        layer = (previous, steps["after_attention"], steps["attention"])
        layers.append(layer)
    return {"layers": layers, "layer": layer}


def transformer_decoder_block(
    x, source, params, mask, source_mask, heads, epsilon
):
    first = post_norm_attention(
        x, x, params.self_attention, mask, heads, epsilon
    )
    after_attention, attention = (
        first[name] for name in ("after_attention", "attention")
    )
    second = post_norm_attention(
        *(after_attention, source, params.cross_attention),
        *(source_mask, heads, epsilon),
    )
    after_cross_attention, cross_attention = (
        second[name] for name in ("after_attention", "attention")
    )
    hidden = post_norm_feed_forward(
        after_cross_attention, params.feed_forward, epsilon
    )["y"]
    return locals()


def transformer_decoder_block_backward(
    d_hidden,
    after_attention,
    after_cross_attention,
    x,
    source,
    params,
    mask,
    source_mask,
    heads,
    epsilon,
):
    outer = post_norm_feed_forward_backward(
        d_hidden, after_cross_attention, params.feed_forward, epsilon
    )
    d_after_cross_attention = outer["d_x"]
    middle = post_norm_attention_backward(
        *(d_after_cross_attention, after_attention, source),
        *(params.cross_attention, source_mask, heads, epsilon),
    )
    d_after_attention, d_source = middle["d_x"], middle["d_source"]
    inner = post_norm_attention_backward(
        *(d_after_attention, x, x, params.self_attention),
        *(mask, heads, epsilon),
    )
    d_x = along_paths(*inner["paths"])
    d_params = parameters(
        self_attention=inner["d_params"],
        cross_attention=middle["d_params"],
        feed_forward=outer["d_params"],
    )
    return locals()


def transformer_decoder(
    x, source, params, mask, source_mask, heads, epsilon
):
    layers, previous = [], x
    for block in params.blocks:
        steps = transformer_decoder_block(
            previous, source, block, mask, source_mask, heads, epsilon
        )
        previous = steps["hidden"]
        layer = (
            *(previous, steps["after_attention"]),
            *(steps["after_cross_attention"], steps["attention"]),
            steps["cross_attention"],
        )
        layers.append(layer)
    return {"layers": layers, "layer": layer}


def transformer(
    source_ids, target_ids, source_mask, params, heads, epsilon
):
    keys = source_mask[..., None, :]
    source_x = transformer_embedding(source_ids, params.embedding)["x"]
    encoder_layers = transformer_encoder(
        source_x, params.encoder, keys, heads, epsilon
    )["layers"]
    source = encoder_layers[-1][0]
    x = transformer_embedding(target_ids, params.embedding)["x"]
    mask = earlier(target_ids.shape[-1])
    decoder_layers = transformer_decoder(
        x, source, params.decoder, mask, keys, heads, epsilon
    )["layers"]
    hidden = decoder_layers[-1][0]
    table = params.embedding.token.weight
    logits = product("...i,vi->...v", hidden, table)
    return locals()
