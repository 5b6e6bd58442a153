from math import inf

import numpy as np

from parity_tests.bounds.gradients import softmax_gradient, transposed
from parity_tests.bounds.rounding import (
    apply,
    at_most_one,
    distribution,
    exponential,
    like,
    product,
    scaled_scores,
    weighted_mean,
    where,
)

from .layers import dropout, dropout_backward


def attention_scores(query, key):
    similarity = product("...qi,...ki->...qk", query, key)
    scores = scaled_scores(query, key)
    return locals()


def attention_scores_backward(d_scores, query, key):
    root = apply("sqrt", like(query, query.shape[-1]))
    d_similarity = d_scores.over(root)
    d_query = product("...qk,...ki->...qi", d_similarity, key)
    d_key = product("...kq,...qi->...ki", transposed(d_similarity), query)
    return locals()


def softmax(scores):
    some = scores.value != -inf  # what is left out has -inf
    maximum = scores.greatest()
    shifted = where(some, scores - maximum, -inf)
    powers = at_most_one(exponential(where(some, shifted, 0)))
    exponentials = where(some, powers, 0)
    total = exponentials.total()
    weights = distribution(scores, some)
    return locals()


def softmax_backward(d_weights, scores):
    return softmax_gradient(scores, np.True_, d_weights)


def softmax_with_temperature(scores, temperature):
    tempered = scores.over(temperature)
    weights = distribution(tempered, np.True_)
    return locals()


def softmax_with_temperature_backward(d_weights, scores, temperature):
    tempered = scores.over(temperature)
    d_tempered = softmax_gradient(tempered, np.True_, d_weights)["d_scores"]
    d_scores = d_tempered.over(temperature)
    return locals()


def masked_softmax(scores, mask):
    some = np.broadcast_to(mask, scores.shape).any(axis=-1, keepdims=True)
    allowed = where(mask, scores, -inf)
    maximum = allowed.greatest()
    shift = where(some, maximum, 0)
    shifted = where(mask, scores - shift, 0)
    exponentials = where(mask, at_most_one(exponential(shifted)), 0)
    total = exponentials.total()
    divisor = where(some, total, 1)
    weights = distribution(scores, mask)
    return locals()


def masked_softmax_backward(d_weights, scores, mask):
    return softmax_gradient(scores, mask, d_weights)


def scaled_dot_product_attention(query, key, value, mask):
    scores = scaled_scores(query, key)
    weights = distribution(scores, mask)
    context = weighted_mean(weights, value)
    return locals()


def scaled_dot_product_attention_backward(
    d_context, query, key, value, mask
):
    scores = scaled_scores(query, key)
    weights = distribution(scores, mask)
    d_value = gradient_of_values(weights, d_context)
    d_weights = gradient_of_weights(d_context, value)
    d_scores = softmax_gradient(scores, mask, d_weights)["d_scores"]
    steps = attention_scores_backward(d_scores, query, key)
    return locals() | steps


def attention_with_dropout(query, key, value, mask, dropout_mask, rate):
    scores = scaled_scores(query, key)
    weights = distribution(scores, mask)
    dropped = dropout(weights, dropout_mask, rate)["y"]
    context = weighted_mean(dropped, value)
    return locals()


def attention_with_dropout_backward(
    d_context, query, key, value, mask, dropout_mask, rate
):
    scores = scaled_scores(query, key)
    weights = distribution(scores, mask)
    dropped = dropout(weights, dropout_mask, rate)["y"]
    d_value = gradient_of_values(dropped, d_context)
    d_dropped = gradient_of_weights(d_context, value)
    d_weights = dropout_backward(d_dropped, weights, dropout_mask, rate)[
        "d_x"
    ]
    d_scores = softmax_gradient(scores, mask, d_weights)["d_scores"]
    steps = attention_scores_backward(d_scores, query, key)
    return locals() | steps


def gradient_of_values(weights, d_context):
    return product("...kq,...qv->...kv", transposed(weights), d_context)


def gradient_of_weights(d_context, value):
    return product("...qv,...kv->...qk", d_context, value)
