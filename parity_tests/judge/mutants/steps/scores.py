"""Mutants of variants of scores and masks."""

from functools import partial

import numpy as np

from numpy_ref.attention import attention_scores, masked_softmax
from numpy_ref.masks import causal_mask
from numpy_ref.variants.alibi import alibi_bias
from numpy_ref.variants.packed import packed_mask
from numpy_ref.variants.prefix import prefix_mask
from numpy_ref.variants.relative_positions import relative_buckets
from numpy_ref.variants.rms_norm import rms_norm
from numpy_ref.variants.sinks import sink_softmax
from numpy_ref.variants.sliding_window import (
    sliding_window_mask,
    streaming_mask,
)

from .pieces import Mutants, mean, nothing_done, total


def band(queries, keys, low, high):
    """Where the distance from a query back to a key is within a range."""
    distance = np.arange(queries)[:, None] - np.arange(keys)
    return (distance >= low) & (distance <= high)


SLIDING_WINDOW: Mutants = {
    "the window is one key too wide: it does not count its own": (
        lambda queries, keys, window, past: sliding_window_mask(
            queries, keys, window + 1, past
        )
    ),
    "the query's own key is hidden": (
        lambda queries, keys, window, past: band(
            queries, keys, 1 - past, window - past
        )
    ),
    "the window reaches to both sides": (
        lambda queries, keys, window, past: band(
            queries, keys, 1 - window - past, window - 1 - past
        )
    ),
    "there is no window: it is causal only": (
        lambda queries, keys, window, past: causal_mask(queries, keys, past)
    ),
    "the cache is forgotten: the past is taken for 0": (
        lambda queries, keys, window, past: sliding_window_mask(
            queries, keys, window
        )
    ),
}

STREAMING: Mutants = {
    "the first keys are forgotten: a window alone": (
        lambda queries, keys, window, first, past: sliding_window_mask(
            queries, keys, window, past
        )
    ),
    "one first key too many is kept": (
        lambda queries, keys, window, first, past: streaming_mask(
            queries, keys, window, first + 1, past
        )
    ),
    "the first keys are seen before they come": (
        lambda queries, keys, window, first, past: (
            sliding_window_mask(queries, keys, window, past)
            | (np.arange(keys) < first)
        )
    ),
    "the cache is forgotten: the past is taken for 0": (
        lambda queries, keys, window, first, past: streaming_mask(
            queries, keys, window, first
        )
    ),
}

PREFIX: Mutants = {
    "the prefix is causal, too": (
        lambda lengths, keys: prefix_mask(0 * lengths, keys)
    ),
    "the prefix is one token too long": (
        lambda lengths, keys: prefix_mask(lengths + 1, keys)
    ),
    "nothing but the prefix is seen": (
        lambda lengths, keys: np.broadcast_to(
            np.arange(keys) < lengths[:, None, None],
            (len(lengths), keys, keys),
        )
    ),
}

PACKED: Mutants = {
    "documents see each other": lambda documents: packed_mask(
        0 * documents
    ),
    "within a document the future is seen": (
        lambda documents: documents[..., None] == documents[..., None, :]
    ),
}

PACKED_POSITIONS: Mutants = {
    "positions go on from document to document": (
        lambda documents: np.broadcast_to(
            np.arange(documents.shape[-1]), documents.shape
        )
    ),
    "positions are counted from 1": (
        lambda documents: packed_mask(documents).sum(axis=-1)
    ),
}


# --- biases --------------------------------------------------------------


def with_slopes(query_positions, key_positions, slopes):
    distance = query_positions[:, None] - key_positions
    return -slopes[:, None, None] * distance


ALIBI: Mutants = {
    "the bias rises with the distance: its sign is wrong": (
        lambda query_positions, key_positions, heads: (
            -alibi_bias(query_positions, key_positions, heads)
        )
    ),
    "the slopes begin at 1: heads are counted from 0": (
        lambda query_positions, key_positions, heads: with_slopes(
            query_positions,
            key_positions,
            2.0 ** (-8 * np.arange(heads) / heads),
        )
    ),
    "all heads have one slope": (
        lambda query_positions, key_positions, heads: with_slopes(
            query_positions, key_positions, np.full(heads, 2.0**-8)
        )
    ),
    "a key counts by its position, not by its distance": (
        lambda query_positions, key_positions, heads: alibi_bias(
            0 * query_positions, key_positions, heads
        )
    ),
}


def biased(query, key, value, bias, mask, join=np.add, after=None):
    scores = attention_scores(query, key)
    weights = masked_softmax(join(scores, bias), mask)
    weights = weights if after is None else after(weights, bias)
    return weights @ value


BIASED: Mutants = {
    "the bias is left out": partial(biased, join=lambda scores, _: scores),
    "the bias is subtracted": partial(biased, join=np.subtract),
    "the bias is scaled, too: it is added before the division": (
        lambda query, key, value, bias, mask: biased(
            query, key, value, bias / query.shape[-1] ** 0.5, mask
        )
    ),
    "the bias is added after the softmax": partial(
        biased, join=lambda scores, _: scores, after=np.add
    ),
}

BUCKETS: Mutants = {
    "buckets are for one way, whatever is asked": (
        lambda queries, keys, buckets, max_distance, both_ways, past: (
            relative_buckets(
                queries, keys, buckets, max_distance, False, past
            )
        )
    ),
    "the cache is forgotten: the past is taken for 0": (
        lambda queries, keys, buckets, max_distance, both_ways, past: (
            relative_buckets(
                queries, keys, buckets, max_distance, both_ways
            )
        )
    ),
    "no distance is far: buckets go on one by one": (
        lambda queries, keys, buckets, max_distance, both_ways, past: (
            one_by_one(queries, keys, buckets, both_ways, past)
        )
    ),
}


def one_by_one(queries, keys, buckets, both_ways, past):
    distance = past + np.arange(queries)[:, None] - np.arange(keys)
    side = buckets // 2 if both_ways else buckets
    apart = np.abs(distance) if both_ways else np.maximum(distance, 0)
    later = side * (distance < 0) if both_ways else 0
    return later + np.minimum(apart, side - 1)


BUCKET_BIAS: Mutants = {
    "the heads stand in the opposite order": (
        lambda bucket, params: np.moveaxis(
            params.weight[bucket][..., ::-1], -1, 0
        )
    ),
    "buckets are read from the end": lambda bucket, params: np.moveaxis(
        params.weight[len(params.weight) - 1 - bucket], -1, 0
    ),
}


# --- caps, sinks, norms --------------------------------------------------

SOFT_CAP: Mutants = {
    "scores are clipped, not drawn in": (
        lambda scores, cap: np.clip(scores, -cap, cap)
    ),
    "the result is not multiplied by the cap": (
        lambda scores, cap: np.tanh(scores / cap)
    ),
    "scores are not divided by the cap": (
        lambda scores, cap: cap * np.tanh(scores)
    ),
    "there is no cap": nothing_done,
    "scores below 0 are lost": (
        lambda scores, cap: cap * np.tanh(np.maximum(scores, 0) / cap)
    ),
}


def capped(query, key, value, mask, cap, before=None, limit=np.tanh):
    scores = attention_scores(query, key)
    if before is not None:
        scores = np.where(mask, scores, before)
        weights = masked_softmax(
            cap * limit(scores / cap), np.ones_like(mask)
        )
    else:
        weights = masked_softmax(cap * limit(scores / cap), mask)
    return weights @ value


CAPPED: Mutants = {
    "the cap comes after the mask: what is masked is seen": partial(
        capped, before=-1e30
    ),
    "there is no cap": partial(capped, limit=nothing_done),
    "scores are clipped, not drawn in": partial(
        capped, limit=lambda share: np.clip(share, -1, 1)
    ),
}

SINK: Mutants = {
    "the sink is left out": (
        lambda scores, sink, mask: masked_softmax(scores, mask)
    ),
    "the sink is a probability: it is added to the sum as it is": (
        lambda scores, sink, mask: with_added(
            scores, sink, mask, nothing_done
        )
    ),
    "a sink of 0 stands there, whatever was learned": (
        lambda scores, sink, mask: sink_softmax(scores, 0 * sink, mask)
    ),
}


def with_added(scores, sink, mask, of_sink):
    powers = np.where(mask, np.exp(scores), 0)
    return powers / (total(powers) + of_sink(sink)[:, None, None])


def normed(query, key, value, params, mask, epsilon, norms):
    of_query, of_key = norms
    scores = attention_scores(
        of_query(query, params.query, epsilon),
        of_key(key, params.key, epsilon),
    )
    return masked_softmax(scores, mask) @ value


def as_it_is(x, params, epsilon):
    return x


def centred(x, params, epsilon):
    return rms_norm(x - mean(x), params, epsilon)


QK_NORM: Mutants = {
    "the queries are not normalised": partial(
        normed, norms=(as_it_is, rms_norm)
    ),
    "the keys are not normalised": partial(
        normed, norms=(rms_norm, as_it_is)
    ),
    "neither queries nor keys are normalised": partial(
        normed, norms=(as_it_is, as_it_is)
    ),
    "the mean is subtracted: that is layer norm": partial(
        normed, norms=(centred, centred)
    ),
    "the values are normalised, too": (
        lambda query, key, value, params, mask, epsilon: normed(
            query,
            key,
            value / np.sqrt(mean(value * value) + epsilon),
            params,
            mask,
            epsilon,
            (rms_norm, rms_norm),
        )
    ),
}

MUTANTS: dict[str, Mutants] = {
    "alibi_bias": ALIBI,
    "biased_attention": BIASED,
    "capped_attention": CAPPED,
    "packed_mask": PACKED,
    "packed_positions": PACKED_POSITIONS,
    "prefix_mask": PREFIX,
    "qk_norm_attention": QK_NORM,
    "relative_buckets": BUCKETS,
    "relative_position_bias": BUCKET_BIAS,
    "sink_softmax": SINK,
    "sliding_window_mask": SLIDING_WINDOW,
    "soft_cap": SOFT_CAP,
    "streaming_mask": STREAMING,
}
