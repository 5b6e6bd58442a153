import numpy as np

from parity_tests.bounds.rounding import (
    Bounded,
    distribution,
    product,
    scaled_scores,
    weighted_mean,
)

from .embeddings import token_embedding
from .gpt2 import attended_and_fed, split_query_key_value
from .layers import layer_norm


def cached_decoder_block(
    x, past_key, past_value, params, mask, heads, epsilon
):
    normed = layer_norm(x, params.attention_norm, epsilon)["y"]
    query, key, value = split_query_key_value(normed, params, heads)
    past = past_key.shape[-2]
    scores = scaled_scores(query, after(past_key, key))
    past_scores = scores.moved(lambda a: a[..., :past])
    new_scores = scores.moved(lambda a: a[..., past:])
    head_mask = mask[..., None, :, :]
    weights = distribution(scores, head_mask)
    past_weights = weights.moved(lambda a: a[..., :past])
    past_context = weighted_mean(past_weights, past_value)
    context = weighted_mean(weights, after(past_value, value))
    steps = attended_and_fed(x, context, params, epsilon)
    layer = (query, key, value, weights, steps["hidden"])
    return locals() | steps


def after(past, new):
    """What came before and what is new, as one array."""
    return Bounded(
        np.concatenate([past.value, new.value], -2),
        np.concatenate([past.error, new.error], -2),
        new.rounding,
    )


def cached_decoder(x, past_key, past_value, params, mask, heads, epsilon):
    layers, came = [], x
    for number, block in enumerate(params.blocks):
        past = [
            a.moved(lambda a, n=number: a[n])
            for a in (past_key, past_value)
        ]
        steps = cached_decoder_block(
            came, *past, block, mask, heads, epsilon
        )
        layer, came = steps["layer"], steps["hidden"]
        layers.append(layer)
    return {"layers": layers, "layer": layer}


def cached_gpt2(ids, past_key, past_value, params, heads, epsilon):
    past = past_key.shape[-2]
    positions = list(range(past, past + ids.shape[-1]))
    tokens = token_embedding(ids, params.embedding.token)["embedded"]
    places = params.embedding.position.weight.moved(lambda a: a[positions])
    x = tokens + places
    mask = np.tri(ids.shape[-1], past + ids.shape[-1], past, dtype=bool)
    layers = cached_decoder(
        x, past_key, past_value, params.decoder, mask, heads, epsilon
    )["layers"]
    last = layers[-1][-1].moved(lambda a: a[..., -1, :])
    normed = layer_norm(last, params.norm, epsilon)["y"]
    logits = product("...i,vi->...v", normed, params.embedding.token.weight)
    return locals()
