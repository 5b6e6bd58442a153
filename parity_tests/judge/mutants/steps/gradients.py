"""Mutants of the gradients of the steps."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from numpy_ref.attention import (
    attention_scores,
    attention_scores_backward,
    masked_softmax,
    scaled_dot_product_attention_backward,
    softmax,
)
from numpy_ref.embeddings import TokenEmbedding, input_embedding_backward
from numpy_ref.layers import Linear, layer_norm_backward, linear
from numpy_ref.multi_head import merge_heads, split_heads
from numpy_ref.normal_distribution import normal_cdf
from numpy_ref.self_attention import self_attention_backward
from numpy_ref.variants.cross_attention import cross_attention_backward
from numpy_ref.variants.transformer import transformer_embedding_backward

from .layers import DROPOUT
from .pieces import Mutants, density, mean, total
from .transformer import TARGETS, evenly

SOFTMAX_BACKWARD: Mutants = {
    "the row's mean gradient is not subtracted": (
        lambda d_weights, scores: softmax(scores) * d_weights
    ),
    "the mean that is subtracted is not weighted": (
        lambda d_weights, scores: (
            softmax(scores) * (d_weights - mean(d_weights))
        )
    ),
    "it is the slope of a sigmoid, A (1 - A)": (
        lambda d_weights, scores: (
            d_weights * softmax(scores) * (1 - softmax(scores))
        )
    ),
    "the scores are taken for the weights": (
        lambda d_weights, scores: (
            scores * (d_weights - total(scores * d_weights))
        )
    ),
}


def scores_gradients(d_scores, query, key, of_query=1.0, of_key=1.0):
    """The right gradients, each multiplied by a power of √d_head."""
    root = query.shape[-1] ** 0.5
    d_query, d_key = attention_scores_backward(d_scores, query, key)
    return d_query * root**of_query, d_key * root**of_key


SCORES_BACKWARD: Mutants = {
    "the scale is missing": scores_gradients,
    "the scale is missing for the queries": partial(
        scores_gradients, of_key=0
    ),
    "the scale is missing for the keys": partial(
        scores_gradients, of_query=0
    ),
}


def mean_not_subtracted(d_context, query, key, value, mask):
    weights = masked_softmax(attention_scores(query, key), mask)
    d_scores = weights * (d_context @ value.swapaxes(-2, -1))
    d_query, d_key = attention_scores_backward(d_scores, query, key)
    return d_query, d_key, weights.swapaxes(-2, -1) @ d_context


def keys_and_values_swapped(*taken):
    d_query, d_key, d_value = scaled_dot_product_attention_backward(*taken)
    return d_query, d_value, d_key


ATTENTION_BACKWARD: Mutants = {
    "the row's mean gradient is not subtracted": mean_not_subtracted,
    "keys and values are swapped": keys_and_values_swapped,
}

WITH_DROPOUT_BACKWARD: Mutants = {
    "dropout is left out": lambda *taken: (
        scaled_dot_product_attention_backward(*taken[:5])
    ),
}


def keys_learn_as_queries(d_context, x, params):
    d_x, d_params = self_attention_backward(d_context, x, params)
    return d_x, replace(d_params, key=d_params.query)


def norm_of_constants(d_y, x, params, epsilon):
    """As if mean and deviation did not depend on the features."""
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + epsilon)
    _, d_params = layer_norm_backward(d_y, x, params, epsilon)
    return d_y * params.weight / deviation, d_params


def weight_of_the_input(d_y, x, params, epsilon):
    """As if the weight multiplied x, not the normalised x."""
    d_x, d_params = layer_norm_backward(d_y, x, params, epsilon)
    d_weight = (d_y * x).reshape(-1, x.shape[-1]).sum(axis=0)
    return d_x, replace(d_params, weight=d_weight)


LAYER_NORM_BACKWARD: Mutants = {
    "mean and deviation are taken for constants": norm_of_constants,
    "the weight gets x, not the normalised x": weight_of_the_input,
}


GELU_BACKWARD: Mutants = {
    "the probability is taken for a constant": (
        lambda d_y, x: d_y * normal_cdf(x)
    ),
    "the density is not multiplied by x": (
        lambda d_y, x: d_y * (normal_cdf(x) + density(x))
    ),
}


def only_tokens_learn(d_x, ids, params):
    d_params = input_embedding_backward(d_x, ids, params)
    nothing = replace(params.position, weight=0 * params.position.weight)
    return replace(d_params, position=nothing)


def linear_gradients(d_y, x, params, join=np.sum):
    """The gradients of all tokens, joined by `join`."""
    tokens = x.reshape(-1, x.shape[-1])
    upstream = d_y.reshape(-1, d_y.shape[-1])
    products = upstream[:, :, None] * tokens[:, None, :]
    d_params = Linear(join(products, axis=0), join(upstream, axis=0))
    return d_y @ params.weight, d_params


def changed(field: str, change: Callable) -> Callable:
    """The right gradients, except that of one parameter."""

    def gradients(d_y, x, params):
        d_x, d_params = linear_gradients(d_y, x, params)
        part = change(getattr(d_params, field), d_y)
        return d_x, replace(d_params, **{field: part})

    return gradients


LINEAR_BACKWARD: Mutants = {
    "parameters get the mean over the tokens, not the sum": partial(
        linear_gradients, join=np.mean
    ),
    "the bias gets the mean over the tokens, not the sum": changed(
        "bias", lambda _, d_y: d_y.mean(axis=tuple(range(d_y.ndim - 1)))
    ),
    "the bias gets nothing": changed("bias", lambda d_bias, _: 0 * d_bias),
    "the weight is transposed for x": lambda d_y, x, params: (
        d_y @ params.weight.T,
        linear_gradients(d_y, x, params)[1],
    ),
    "the gradient of the weight is transposed": changed(
        "weight", lambda d_weight, _: d_weight.T
    ),
}

DROPOUT_BACKWARD: Mutants = {
    name: lambda d_y, _, dropout_mask, rate, drop=drop: drop(
        d_y, dropout_mask, rate
    )
    for name, drop in DROPOUT.items()
}


def overwritten(d_embedded, ids, params):
    weight = np.zeros_like(params.weight)
    weight[ids] = d_embedded
    return TokenEmbedding(weight)


def averaged(d_embedded, ids, params):
    """The mean of each token's gradients."""
    weight = np.zeros_like(params.weight)
    for token in np.unique(ids):
        weight[token] = d_embedded[ids == token].mean(axis=0)
    return TokenEmbedding(weight)


TOKEN_EMBEDDING_BACKWARD: Mutants = {
    "gradients of a repeated token overwrite each other": overwritten,
    "a token gets the mean, not the sum": averaged,
}


def d_logits(
    d_loss,
    logits,
    targets,
    ignored,
    one_hot=1,
    n=np.sum,
    counted=np.asarray,
):
    """(p - one-hot) / n, where `counted`; any of the three may be wrong."""
    counts = targets != ignored
    hot = targets[..., None] == np.arange(logits.shape[-1])
    row = d_loss / n(counts) * (softmax(logits) - one_hot * hot)
    return row * counted(counts)[..., None]


CROSS_ENTROPY_BACKWARD: Mutants = {
    "it is not divided by the number of targets": partial(
        d_logits, n=lambda counts: 1
    ),
    "the mean counts ignored targets, too": partial(d_logits, n=np.size),
    "the one-hot row is not subtracted": partial(d_logits, one_hot=0),
    "the sign of the one-hot row is wrong": partial(d_logits, one_hot=-1),
    "ignored targets get a gradient": partial(
        d_logits, counted=np.ones_like
    ),
    "the gradient of the loss is left out": (
        lambda d_loss, *rest: d_logits(1, *rest)
    ),
}


def d_smoothed(
    d_loss,
    logits,
    targets,
    smoothing,
    ignored,
    wanted=evenly,
    n=np.sum,
    counted=np.asarray,
):
    """(p - q) / n, where `counted`; any of the three may be wrong."""
    counts = targets != ignored
    hot = targets[..., None] == np.arange(logits.shape[-1])
    row = d_loss / n(counts) * (softmax(logits) - wanted(hot, smoothing))
    return row * counted(counts)[..., None]


SMOOTHED_BACKWARD: Mutants = {
    cause: partial(d_smoothed, wanted=wanted)
    for cause, wanted in TARGETS.items()
} | {
    "it is not divided by the number of targets": partial(
        d_smoothed, n=lambda counts: 1
    ),
    "the mean counts ignored targets, too": partial(d_smoothed, n=np.size),
    "ignored targets get a gradient": partial(
        d_smoothed, counted=np.ones_like
    ),
    "the gradient of the loss is left out": (
        lambda d_loss, *rest: d_smoothed(1, *rest)
    ),
}

RELU_BACKWARD: Mutants = {
    "at 0 the slope is 1": lambda d_y, x: np.where(x >= 0, d_y, 0),
    "at 0 the slope is 1/2": (
        lambda d_y, x: np.where(x == 0, d_y / 2, np.where(x > 0, d_y, 0))
    ),
    "nothing is cut off: the slope is 1 everywhere": lambda d_y, x: d_y,
    "the gradient is cut off where it is negative, not where x is": (
        lambda d_y, x: np.maximum(d_y, 0)
    ),
    "it is multiplied by relu(x), not by the slope": (
        lambda d_y, x: d_y * np.maximum(x, 0)
    ),
    "it is the slope alone: the gradient of the output is left out": (
        lambda d_y, x: np.where(x > 0, 1.0, 0)
    ),
}


def without_way(d_y, x, source, params, mask, heads, way):
    """What the source gets, without that of its keys or its values."""
    query, key, value = (
        split_heads(linear(text, layer), heads)
        for text, layer in (
            (x, params.query),
            (source, params.key),
            (source, params.value),
        )
    )
    d_context = split_heads(d_y @ params.output.weight, heads)
    _, d_key, d_value = scaled_dot_product_attention_backward(
        d_context, query, key, value, mask[..., None, :, :]
    )
    part = {"key": d_key, "value": d_value}[way]
    left_out = merge_heads(part) @ getattr(params, way).weight
    d_x, d_source, d_params = cross_attention_backward(
        d_y, x, source, params, mask, heads
    )
    return d_x, d_source - left_out, d_params


def source_keys_learn_as_queries(*taken):
    d_x, d_source, d_params = cross_attention_backward(*taken)
    return d_x, d_source, replace(d_params, key=d_params.query)


CROSS_ATTENTION_BACKWARD: Mutants = {
    "the source gets nothing by its keys": partial(without_way, way="key"),
    "the source gets nothing by its values": partial(
        without_way, way="value"
    ),
    "the keys get the gradients of the queries": (
        source_keys_learn_as_queries
    ),
    "the mask is ignored: what is not seen learns, too": (
        lambda d_y, x, source, params, mask, heads: (
            cross_attention_backward(
                d_y, x, source, params, np.ones_like(mask), heads
            )
        )
    ),
}


def without_the_root(d_x, ids, params):
    d_params = transformer_embedding_backward(d_x, ids, params)
    weight = d_params.token.weight / float(d_x.shape[-1]) ** 0.5
    return replace(d_params, token=TokenEmbedding(weight))


MUTANTS: dict[str, Mutants] = {
    "attention_scores_backward": SCORES_BACKWARD,
    "attention_with_dropout_backward": WITH_DROPOUT_BACKWARD,
    "cross_entropy_backward": CROSS_ENTROPY_BACKWARD,
    "cross_attention_backward": CROSS_ATTENTION_BACKWARD,
    "dropout_backward": DROPOUT_BACKWARD,
    "gelu_backward": GELU_BACKWARD,
    "input_embedding_backward": {
        "positions get nothing": only_tokens_learn
    },
    "layer_norm_backward": LAYER_NORM_BACKWARD,
    "linear_backward": LINEAR_BACKWARD,
    "merge_heads_backward": {
        "the heads are split by reshape, without a transpose": (
            lambda d_merged, x: d_merged.reshape(x.shape)
        ),
    },
    "relu_backward": RELU_BACKWARD,
    "scaled_dot_product_attention_backward": ATTENTION_BACKWARD,
    "self_attention_backward": {
        "the keys get the gradients of the queries": keys_learn_as_queries,
    },
    "smoothed_cross_entropy_backward": SMOOTHED_BACKWARD,
    "softmax_backward": SOFTMAX_BACKWARD,
    "token_embedding_backward": TOKEN_EMBEDDING_BACKWARD,
    "transformer_embedding_backward": {
        "the root of d_model is left out": without_the_root,
    },
}
