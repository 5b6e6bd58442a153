import numpy as np

from parity_tests.bounds.rounding import (
    Bounded,
    distribution,
    product,
    scaled_scores,
    weighted_mean,
)

from .embeddings import token_embedding
from .layers import layer_norm
from .multi_head import split_query_key_value
from .sublayers import feed_forward_sublayer, mixed_and_added


def cached_heads(x, past_key, past_value, params, mask, heads):
    query, key, value = split_query_key_value(x, params, heads)
    past = past_key.shape[-2]
    scores = scaled_scores(query, after(past_key, key))
    past_scores = scores.moved(lambda a: a[..., :past])
    new_scores = scores.moved(lambda a: a[..., past:])
    head_mask = mask[..., None, :, :]
    weights = distribution(scores, head_mask)
    past_weights = weights.moved(lambda a: a[..., :past])
    past_context = weighted_mean(past_weights, past_value)
    context = weighted_mean(weights, after(past_value, value))
    attention = (query, key, value, weights, context)
    return locals()


def cached_attention_sublayer(
    x, past_key, past_value, params, mask, heads, epsilon
):
    normed = layer_norm(x, params.norm, epsilon)["y"]
    steps = cached_heads(
        normed, past_key, past_value, params.attention, mask, heads
    )
    return locals() | mixed_and_added(x, steps, params)


def cached_decoder_block(
    x, past_key, past_value, params, mask, heads, epsilon
):
    steps = cached_attention_sublayer(
        *(x, past_key, past_value, params.attention_sublayer),
        *(mask, heads, epsilon),
    )
    attention, after_attention = (
        steps[name] for name in ("attention", "after_attention")
    )
    hidden = feed_forward_sublayer(
        after_attention, params.feed_forward_sublayer, epsilon
    )["y"]
    layer = (*attention[:4], hidden)
    return locals()


def after(past, new):
    """What came before and what is new, as one array."""
    return Bounded(
        np.concatenate([past.value, new.value], -2),
        np.concatenate([past.error, new.error], -2),
        new.rounding,
    )


def cached_decoder(x, past_key, past_value, params, mask, heads, epsilon):
    layers, previous = [], x
    for index, block in enumerate(params.blocks):
        past = [
            a.moved(lambda a, n=index: a[n]) for a in (past_key, past_value)
        ]
        steps = cached_decoder_block(
            previous, *past, block, mask, heads, epsilon
        )
        layer, previous = steps["layer"], steps["hidden"]
        layers.append(layer)
    return {"layers": layers, "layer": layer}


def cached_gpt2(ids, past_key, past_value, params, heads, epsilon):
    past = past_key.shape[-2]
    positions = list(range(past, past + ids.shape[-1]))
    token_embeddings = token_embedding(ids, params.embedding.token)[
        "embedded"
    ]
    position_embeddings = params.embedding.position.weight.moved(
        lambda a: a[positions]
    )
    x = token_embeddings + position_embeddings
    mask = np.tri(ids.shape[-1], past + ids.shape[-1], past, dtype=bool)
    layers = cached_decoder(
        x, past_key, past_value, params.decoder, mask, heads, epsilon
    )["layers"]
    last = layers[-1][-1].moved(lambda a: a[..., -1, :])
    normed = layer_norm(last, params.norm, epsilon)["y"]
    logits = product("...i,vi->...v", normed, params.embedding.token.weight)
    return locals()
