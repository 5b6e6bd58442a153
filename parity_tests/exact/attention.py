from math import inf

import numpy as np

from ..bounds import (
    at_most_one,
    distribution,
    exponential,
    product,
    scaled_scores,
    weighted_mean,
    where,
)
from .layers import dropout


def attention_scores(query, key):
    similarity = product("...qi,...ki->...qk", query, key)
    scores = scaled_scores(query, key)
    return locals()


def softmax(scores):
    maximum = scores.greatest()
    shifted = scores - maximum
    exponentials = at_most_one(exponential(shifted))
    total = exponentials.total()
    weights = distribution(scores, np.True_)
    return locals()


def softmax_with_temperature(scores, temperature):
    tempered = scores.over(temperature)
    weights = distribution(tempered, np.True_)
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


def scaled_dot_product_attention(query, key, value, mask):
    scores = scaled_scores(query, key)
    weights = distribution(scores, mask)
    context = weighted_mean(weights, value)
    return locals()


def attention_with_dropout(query, key, value, mask, keep, rate):
    scores = scaled_scores(query, key)
    weights = distribution(scores, mask)
    dropped = dropout(weights, keep, rate)["y"]
    context = weighted_mean(dropped, value)
    return locals()
