"""Rounding to half precision adds an error, and changes no exact value.

Only `round_to` and `sum_in_half` are described as what they compute: the
same number, by fractions, because the staircase is their result.
"""

from fractions import Fraction
from math import frexp, ldexp

import numpy as np

from parity_tests.bounds.rounding import (
    Bounded,
    distribution,
    scaled_scores,
    weighted_mean,
)

from ..attention import (
    attention_scores_backward,
    gradient_of_values,
    gradient_of_weights,
    masked_softmax_backward,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from ..numbers import known_exactly, rounded_as, widened


def round_to(x, bits):
    parts = [frexp(number) for number in x.value.flat]
    fractions = [Fraction(part) * 2**bits for part, _ in parts]
    # Python's `round` of a fraction takes ties to the even number, too.
    nearest = [round(fraction) for fraction in fractions]
    results = [
        ldexp(number, power - bits)
        for number, (_, power) in zip(nearest, parts, strict=True)
    ]

    def shaped(numbers):
        array = np.array([float(number) for number in numbers])
        return known_exactly(array.reshape(x.shape), x)

    mantissa = shaped(part for part, _ in parts)
    exponent = np.array([power for _, power in parts]).reshape(x.shape)
    steps, whole = shaped(fractions), shaped(nearest)
    rounded = shaped(results)
    return locals()


def add_in_half(total, term):
    value = total.value + term.value
    unrounded = Bounded(value, total.error + term.error, total.rounding)
    total_rounded = rounded_as(total, unrounded)
    return locals()


def sum_in_half(total, terms):
    for index in range(terms.shape[-2]):
        term = terms.value[..., index, :]
        pairs = zip(total.value.flat, term.flat, strict=True)
        sums = [nearest_sum(*pair, total.rounding) for pair in pairs]
        total = known_exactly(np.reshape(sums, total.shape), total)
    return locals()


def nearest_sum(total, term, rounding) -> float:
    """The half next to a sum of two, by fractions.

    A sum that is subnormal is exact.
    """
    exact = Fraction(float(total)) + Fraction(float(term))
    _, power = frexp(exact)
    step = Fraction(2) ** power * Fraction(rounding.u)
    return float(round(exact / step) * step)


def attention_inside_float32(query, key, value, mask):
    wide_query = widened(query)
    wide_key = widened(key)
    wide_value = widened(value)
    steps = scaled_dot_product_attention(
        wide_query, wide_key, wide_value, mask
    )
    context = steps["context"]
    context_rounded = rounded_as(query, context)
    return locals()


def attention_inside_float32_backward(
    d_context_rounded, query, key, value, mask
):
    d_context = widened(d_context_rounded)
    back = scaled_dot_product_attention_backward(
        d_context, *map(widened, (query, key, value)), mask
    )
    d_wide_query, d_wide_key = back["d_query"], back["d_key"]
    d_wide_value = back["d_value"]
    d_query = rounded_as(query, d_wide_query)
    d_key = rounded_as(key, d_wide_key)
    d_value = rounded_as(value, d_wide_value)
    return locals()


def attention_rounded_within(query, key, value, mask):
    wide_query = widened(query)
    wide_key = widened(key)
    wide_value = widened(value)
    scores = scaled_scores(wide_query, wide_key)
    scores_rounded = rounded_as(query, scores)
    wide_scores = widened(scores_rounded)
    weights = distribution(wide_scores, mask)
    weights_rounded = rounded_as(query, weights)
    wide_weights = widened(weights_rounded)
    context = weighted_mean(wide_weights, wide_value)
    context_rounded = rounded_as(query, context)
    return locals()


def attention_rounded_within_backward(
    d_context_rounded, query, key, value, mask
):
    steps = attention_rounded_within(query, key, value, mask)
    d_context = widened(d_context_rounded)
    d_wide_value = gradient_of_values(steps["wide_weights"], d_context)
    d_value = rounded_as(value, d_wide_value)
    d_wide_weights = gradient_of_weights(d_context, steps["wide_value"])
    d_weights_rounded = rounded_as(query, d_wide_weights)
    d_weights = widened(d_weights_rounded)
    d_wide_scores = masked_softmax_backward(
        d_weights, steps["wide_scores"], mask
    )["d_scores"]
    d_scores_rounded = rounded_as(query, d_wide_scores)
    d_scores = widened(d_scores_rounded)
    back = attention_scores_backward(
        d_scores, steps["wide_query"], steps["wide_key"]
    )
    d_wide_query, d_wide_key = back["d_query"], back["d_key"]
    d_query = rounded_as(query, d_wide_query)
    d_key = rounded_as(key, d_wide_key)
    return locals()
