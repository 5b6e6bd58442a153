from parity_tests.bounds.gradients import softmax_gradient, total_of_texts
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


def biased_attention(query, key, value, bias, mask):
    scores = scaled_scores(query, key)
    biased = scores + bias
    weights = distribution(biased, mask)
    context = weighted_mean(weights, value)
    return locals()


def biased_attention_backward(d_context, query, key, value, bias, mask):
    steps = biased_attention(query, key, value, bias, mask)
    weights, biased = steps["weights"], steps["biased"]
    d_value = gradient_of_values(weights, d_context)
    d_weights = gradient_of_weights(d_context, value)
    d_biased = softmax_gradient(biased, mask, d_weights)["d_scores"]
    d_bias = total_of_texts(d_biased, axes=3)
    d_scores = d_biased
    return locals() | attention_scores_backward(d_scores, query, key)
