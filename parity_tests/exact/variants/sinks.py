from math import inf

import numpy as np

from parity_tests.bounds.gradients import softmax_gradient
from parity_tests.bounds.rounding import (
    distribution,
    scaled_scores,
    weighted_mean,
    where,
)

from ..attention import (
    attention_scores_backward,
    gradient_of_values,
    gradient_of_weights,
)
from ..numbers import joined, known_exactly


def sink_softmax(scores, sink, mask):
    shape = (*scores.shape[:-1], 1)
    allowed = where(mask, scores, -inf)
    column = sink.moved(lambda a: np.broadcast_to(a[:, None, None], shape))
    beside = joined([allowed, column])
    seen = with_one_more(mask, scores.shape)
    shares = distribution(where(seen, beside, 0), seen)
    weights = shares.moved(lambda a: a[..., :-1])
    return locals()


def with_one_more(mask, shape):
    """Which keys may be attended to, and the sink, which always may."""
    always = np.ones((*shape[:-1], 1), bool)
    return np.concatenate([np.broadcast_to(mask, shape), always], axis=-1)


def sink_softmax_backward(d_weights, scores, sink, mask):
    steps = sink_softmax(scores, sink, mask)
    nothing = known_exactly(np.zeros((*scores.shape[:-1], 1)), scores)
    d_shares = joined([d_weights, nothing])
    finite = where(steps["seen"], steps["beside"], 0)
    d_beside = softmax_gradient(finite, steps["seen"], d_shares)["d_scores"]
    d_scores = d_beside.moved(lambda a: a[..., :-1])
    d_column = d_beside.moved(lambda a: a[..., -1:])
    by_head = d_column.moved(
        lambda a: np.moveaxis(a, -3, 0).reshape(a.shape[-3], -1)
    )
    d_sink = by_head.total().moved(lambda a: a[:, 0])
    return locals()


def sink_attention(query, key, value, sink, mask):
    scores = scaled_scores(query, key)
    weights = sink_softmax(scores, sink, mask)["weights"]
    context = weighted_mean(weights, value)
    return locals()


def sink_attention_backward(d_context, query, key, value, sink, mask):
    steps = sink_attention(query, key, value, sink, mask)
    weights, scores = steps["weights"], steps["scores"]
    d_value = gradient_of_values(weights, d_context)
    d_weights = gradient_of_weights(d_context, value)
    back = sink_softmax_backward(d_weights, scores, sink, mask)
    d_scores, d_sink = back["d_scores"], back["d_sink"]
    return locals() | attention_scores_backward(d_scores, query, key)
