import numpy as np

from parity_tests.bounds.rounding import (
    distribution,
    product,
    scaled_scores,
    weighted_mean,
)

from ..embeddings import token_embedding
from ..key_value_cache import after
from .grouped_queries import repeat_heads, turned_heads
from .llama import angles, llama_feed_forward_sublayer, mixed_and_added
from .rms_norm import rms_norm


def fold_heads(x, key_heads):
    folded = x.moved(
        lambda a: a.reshape(*a.shape[:-3], key_heads, -1, a.shape[-1])
    )
    return locals()


def fold_heads_backward(d_folded, x, key_heads):
    return {"d_x": d_folded.moved(lambda a: a.reshape(x.shape))}


def unfold_heads(x, heads):
    unfolded = x.moved(
        lambda a: a.reshape(*a.shape[:-3], heads, -1, a.shape[-1])
    )
    return locals()


def unfold_heads_backward(d_unfolded, x, heads):
    return {"d_x": d_unfolded.moved(lambda a: a.reshape(x.shape))}


def cached_grouped_heads(
    x, past_key, past_value, params, mask, cosine, sine, heads, key_heads
):
    """By repeating keys and values, where the twins fold queries."""
    steps = turned_heads(x, params, cosine, sine, heads, key_heads)
    query, key, value = (steps[n] for n in ("query", "key", "value"))
    past, repeats = past_key.shape[-2], heads // key_heads
    all_keys = repeat_heads(after(past_key, key), repeats)["repeated"]
    all_values = repeat_heads(after(past_value, value), repeats)["repeated"]
    scores = scaled_scores(query, all_keys)
    head_mask = mask[..., None, :, :]
    weights = distribution(scores, head_mask)
    context = weighted_mean(weights, all_values)
    attention = (query, key, value, weights, context)
    folded_query, folded_scores, folded_weights, folded_context = (
        fold_heads(part, key_heads)["folded"]
        for part in (query, scores, weights, context)
    )
    past_scores = folded_scores.moved(lambda a: a[..., :past])
    new_scores = folded_scores.moved(lambda a: a[..., past:])
    past_context = weighted_mean(
        folded_weights.moved(lambda a: a[..., :past]), past_value
    )
    return steps | locals()


def cached_llama_attention_sublayer(
    x,
    past_key,
    past_value,
    params,
    mask,
    cosine,
    sine,
    heads,
    key_heads,
    epsilon,
):
    normed = rms_norm(x, params.norm, epsilon)["y"]
    steps = cached_grouped_heads(
        *(normed, past_key, past_value, params.attention, mask),
        *(cosine, sine, heads, key_heads),
    )
    return locals() | mixed_and_added(x, steps, params)


def cached_llama_block(
    x,
    past_key,
    past_value,
    params,
    mask,
    cosine,
    sine,
    heads,
    key_heads,
    epsilon,
):
    steps = cached_llama_attention_sublayer(
        *(x, past_key, past_value, params.attention_sublayer, mask),
        *(cosine, sine, heads, key_heads, epsilon),
    )
    attention, after_attention = (
        steps[name] for name in ("attention", "after_attention")
    )
    hidden = llama_feed_forward_sublayer(
        after_attention, params.feed_forward_sublayer, epsilon
    )["y"]
    layer = (*attention[:4], hidden)
    return locals()


def cached_llama_decoder(
    x,
    past_key,
    past_value,
    params,
    mask,
    cosine,
    sine,
    heads,
    key_heads,
    epsilon,
):
    layers, previous = [], x
    for index, block in enumerate(params.blocks):
        past = [
            a.moved(lambda a, n=index: a[n]) for a in (past_key, past_value)
        ]
        steps = cached_llama_block(
            *(previous, *past, block, mask, cosine, sine),
            *(heads, key_heads, epsilon),
        )
        layer, previous = steps["layer"], steps["hidden"]
        layers.append(layer)
    return {"layers": layers, "layer": layer}


def cached_llama(
    ids, past_key, past_value, params, heads, key_heads, base, epsilon
):
    x = token_embedding(ids, params.embedding)["embedded"]
    past, d_head = past_key.shape[-2:]
    tables = angles(past, ids.shape[-1], d_head, base, x)
    mask = np.tri(ids.shape[-1], past + ids.shape[-1], past, dtype=bool)
    layers = cached_llama_decoder(
        *(x, past_key, past_value, params.decoder, mask),
        *(tables["cosine"], tables["sine"], heads, key_heads, epsilon),
    )["layers"]
    last = layers[-1][-1].moved(lambda a: a[..., -1, :])
    normed = rms_norm(last, params.norm, epsilon)["y"]
    logits = product("...i,vi->...v", normed, params.output.weight)
    return tables | locals()
