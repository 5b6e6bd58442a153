from parity_tests.bounds.gradients import softmax_gradient
from parity_tests.bounds.layers import hyperbolic_tangent
from parity_tests.bounds.rounding import (
    distribution,
    scaled_scores,
    weighted_mean,
)

from ..attention import (
    attention_scores_backward,
    gradient_of_values,
    gradient_of_weights,
)
from ..numbers import constant


def soft_cap(scores, cap):
    share = scores.over(cap)
    bounded = hyperbolic_tangent(share)
    capped = bounded.times(cap)
    return locals()


def soft_cap_backward(d_capped, scores, cap):
    bounded = hyperbolic_tangent(scores.over(cap))
    slope = constant(scores, 1) - bounded * bounded
    d_bounded = d_capped.times(cap)
    d_share = d_bounded * slope
    d_scores = d_share.over(cap)
    return locals()


def capped_attention(query, key, value, mask, cap):
    scores = scaled_scores(query, key)
    capped = soft_cap(scores, cap)["capped"]
    weights = distribution(capped, mask)
    context = weighted_mean(weights, value)
    return locals()


def capped_attention_backward(d_context, query, key, value, mask, cap):
    steps = capped_attention(query, key, value, mask, cap)
    scores, capped = steps["scores"], steps["capped"]
    weights = steps["weights"]
    d_value = gradient_of_values(weights, d_context)
    d_weights = gradient_of_weights(d_context, value)
    d_capped = softmax_gradient(capped, mask, d_weights)["d_scores"]
    d_scores = soft_cap_backward(d_capped, scores, cap)["d_scores"]
    return locals() | attention_scores_backward(d_scores, query, key)
