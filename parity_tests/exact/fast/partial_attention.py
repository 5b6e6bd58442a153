from collections import namedtuple
from math import inf

import numpy as np

from parity_tests.bounds.gradients import quotient
from parity_tests.bounds.rounding import (
    FUNCTION_ROUNDINGS,
    Bounded,
    absolute,
    apply,
    at_most_one,
    exponential,
    scaled_scores,
    weighted_mean,
    where,
)

from ..numbers import known_exactly

RunningSoftmax = namedtuple("RunningSoftmax", "weighted_sum maximum total")
PartialAttention = namedtuple("PartialAttention", "output log_sum_exp")


def nothing_seen(query, value):
    shape = (*query.shape[:-1], value.shape[-1])
    weighted_sum = known_exactly(np.zeros(shape), query)
    maximum = known_exactly(np.full(shape[:-1], -inf), query)
    total = known_exactly(np.zeros(shape[:-1]), query)
    running = RunningSoftmax(weighted_sum, maximum, total)
    return locals()


def add_key_block(running, query, key, value, mask):
    scores = scaled_scores(query, key)
    allowed = where(mask, scores, -inf)
    block_maximum = allowed.greatest().moved(lambda a: a[..., 0])
    maximum = greater(running.maximum, block_maximum)
    shift = where(maximum.value > -inf, maximum, 0)
    rescale = power(running.maximum, shift)
    exponentials = power(allowed, column(shift))
    block_total = exponentials.total().moved(lambda a: a[..., 0])
    total = running.total * rescale + block_total
    rescaled_sum = running.weighted_sum * column(rescale)
    weighted_sum = rescaled_sum + weighted_mean(exponentials, value)
    extended = RunningSoftmax(weighted_sum, maximum, total)
    return locals()


def greater(a, b):
    return Bounded(
        np.maximum(a.value, b.value),
        np.maximum(a.error, b.error),
        a.rounding,
    )


def power(a, shift):
    """e^(a - shift), for a shift that is no smaller; 0 for -inf."""
    some = a.value > -inf
    shifted = where(some, where(some, a, 0) - shift, 0)
    return where(some, at_most_one(exponential(shifted)), 0)


def column(a):
    return a.moved(lambda part: part[..., None])


def add_key_blocks(running, query, key, value, mask, block):
    extended = running
    for part in parts_of(key, value, mask, block):
        extended = add_key_block(extended, query, *part)["extended"]
    return {"extended": extended}


def parts_of(key, value, mask, block):
    """Each block of keys, with its values and its mask."""
    keys = key.shape[-2]
    whole = np.broadcast_to(mask, (*mask.shape[:-1], keys))
    for start in range(0, keys, block):
        columns = slice(start, start + block)
        yield rows(key, columns), rows(value, columns), whole[..., columns]


def rows(a, some):
    return a.moved(lambda part: part[..., some, :])


def normalised(running):
    some = running.total.value > 0
    divisor = where(some, running.total, 1)
    output = quotient(running.weighted_sum, column(divisor))
    maximum = where(some, running.maximum, 0)
    log_sum_exp = where(some, maximum + logarithm(divisor), -inf)
    partial = PartialAttention(output, log_sum_exp)
    return locals()


def logarithm(a):
    """ln a, of an `a` that is well above its error."""
    steepest = a.error / np.maximum(absolute(a.value) - a.error, 0.5)
    return a.rounded(apply("log", a.value), steepest, FUNCTION_ROUNDINGS)


def partial_attention(query, key, value, mask):
    return partial_attention_in_blocks(
        query, key, value, mask, max(1, key.shape[-2])
    )


def partial_attention_in_blocks(query, key, value, mask, block):
    running = nothing_seen(query, value)["running"]
    steps = add_key_blocks(running, query, key, value, mask, block)
    extended = steps["extended"]
    partial = normalised(extended)["partial"]
    return locals()


def merge_partial_attention(first, second):
    maximum = greater(first.log_sum_exp, second.log_sum_exp)
    some = maximum.value > -inf
    shift = where(some, maximum, 0)
    first_power = power(first.log_sum_exp, shift)
    second_power = power(second.log_sum_exp, shift)
    total = first_power + second_power
    divisor = where(some, total, 1)
    first_share = quotient(first_power, divisor)
    second_share = quotient(second_power, divisor)
    first_part = column(first_share) * first.output
    output = first_part + column(second_share) * second.output
    log_sum_exp = where(some, shift + logarithm(divisor), -inf)
    merged = PartialAttention(output, log_sum_exp)
    return locals()


def merge_neighbours(partials):
    pairs = zip(partials[::2], partials[1::2], strict=False)
    merged = [merge_partial_attention(*pair)["merged"] for pair in pairs]
    odd = partials[2 * len(merged) :]
    fewer = (*merged, *odd)
    return {"merged": merged, "odd": odd, "fewer": fewer}


def merge_tree(partials):
    while len(partials) > 1:
        partials = merge_neighbours(partials)["fewer"]
    return {"merged": partials[0]}


def split_key_attention(query, key, value, mask, block):
    partials = tuple(
        partial_attention(query, *part)["partial"]
        for part in parts_of(key, value, mask, block)
    )
    context = merge_tree(partials)["merged"].output
    return {"partials": partials, "context": context}
