"""Mutants of half precision: rounding, sums, attention in 16 bits."""

from collections.abc import Callable
from functools import partial

import numpy as np

from numpy_ref.attention import (
    attention_scores_backward,
    masked_softmax,
    masked_softmax_backward,
)
from numpy_ref.variants.half_precision import (
    attention_inside_float32_backward,
    attention_rounded_within_backward,
)
from parity_tests.bounds.half_precision import FORMATS
from parity_tests.judge.candidate.wire import dtype_called

from .pieces import Mutants, nothing_done, total

# --- rounding ------------------------------------------------------------


def away_from_zero(steps):
    """A tie goes to the larger magnitude."""
    return np.sign(steps) * np.floor(np.abs(steps) + 0.5)


def towards_zero(steps):
    """A tie goes to the smaller magnitude."""
    return np.sign(steps) * np.ceil(np.abs(steps) - 0.5)


def upwards(steps):
    """A tie goes to the larger number."""
    return np.floor(steps + 0.5)


def one_more(steps):
    """Up, whatever is cut off: even nothing."""
    return np.sign(steps) * (np.floor(np.abs(steps)) + 1)


def one_bit_more_first(steps):
    return np.rint(np.rint(2 * steps) / 2)


def rounded_to(x, bits, take=np.rint, more=0):
    """Rounding to so many bits, or more, by a function of steps."""
    mantissa, exponent = np.frexp(x)
    steps = np.ldexp(mantissa, bits + more)
    return np.ldexp(take(steps), exponent - bits - more).astype(x.dtype)


def carry_lost(x, bits):
    """What is rounded up to a power of 2 falls back to half of it."""
    mantissa, exponent = np.frexp(x)
    steps = np.rint(np.ldexp(mantissa, bits))
    kept = np.where(np.abs(steps) == 2**bits, steps / 2, steps)
    return np.ldexp(kept, exponent - bits).astype(x.dtype)


def places_counted(x, bits):
    """So many binary places, as a number with a fixed point has them."""
    return np.ldexp(np.rint(np.ldexp(x, bits)), -bits).astype(x.dtype)


def digits_counted(x, bits):
    """So many decimal digits."""
    numbers = [float(f"{number:.{bits - 1}e}") for number in x.flat]
    return np.reshape(numbers, x.shape).astype(x.dtype)


def one_exponent(x, bits):
    """The step of the largest number, for all."""
    _, exponent = np.frexp(np.abs(x).max(initial=0))
    steps = np.rint(np.ldexp(x, bits - exponent))
    return np.ldexp(steps, exponent - bits).astype(x.dtype)


ROUND_TO: Mutants = {
    "it is cut off, not rounded": partial(rounded_to, take=np.trunc),
    "it is rounded down, below zero away from it": partial(
        rounded_to, take=np.floor
    ),
    "it is rounded up by a step, even where it has no more bits": partial(
        rounded_to, take=one_more
    ),
    "a tie goes away from zero, not to the even number": partial(
        rounded_to, take=away_from_zero
    ),
    "a tie goes towards zero, not to the even number": partial(
        rounded_to, take=towards_zero
    ),
    "a tie goes up, not to the even number": partial(
        rounded_to, take=upwards
    ),
    "it is rounded twice, to one bit more at first": partial(
        rounded_to, take=one_bit_more_first
    ),
    "there is one bit too few": partial(rounded_to, more=-1),
    "there is one bit too many: the first is not counted": partial(
        rounded_to, more=1
    ),
    "the carry is lost: below a power of 2 it falls back to half": (
        carry_lost
    ),
    "binary places are counted, not significant bits": places_counted,
    "decimal digits are counted, not bits": digits_counted,
    "all numbers get the step of the largest one": one_exponent,
    "nothing is rounded": nothing_done,
}


# --- sums ----------------------------------------------------------------


def step_at(x, half):
    """How far halves are apart where these numbers stand."""
    kind = FORMATS[half.name]
    _, power = np.frexp(np.maximum(np.abs(x), kind.normal))
    return kind.u * np.exp2(power)


def taken_by(take, x, half):
    """Rounded to a half, by a function of its distance in steps."""
    step = step_at(x, half)
    return (take(x / step) * step).astype(half)


def by_way_of(name, x, half):
    """Rounded to the half of that name first."""
    return x.astype(dtype_called(name)).astype(half)


def saturated(x, half):
    greatest = FORMATS[half.name].greatest
    return np.clip(x, -greatest, greatest).astype(half)


def flushed(x, half):
    """Subnormal numbers become 0."""
    rounded = x.astype(half)
    is_normal = np.abs(x) >= FORMATS[half.name].normal
    return np.where(is_normal, rounded, 0 * rounded)


def in_float32(x, half):
    return x.astype(np.float32)


def added(total, term, to: Callable, sign=1):
    """A sum in float64, which holds it, and its rounding."""
    half = total.dtype
    return to(total.astype(float) + sign * term.astype(float), half)


def nearest(x, half):
    return x.astype(half)


def brought_to_the_total(total, term):
    """The bits of the term that the total has no place for are lost."""
    wide, half = total.astype(float), total.dtype
    step = step_at(wide, half)
    aligned = np.trunc(term.astype(float) / step) * step
    return (wide + aligned).astype(half)


ROUNDINGS = {
    "it is cut off, not rounded": partial(taken_by, np.trunc),
    "it is rounded down, below zero away from it": partial(
        taken_by, np.floor
    ),
    "a tie goes away from zero, not to the even number": partial(
        taken_by, away_from_zero
    ),
    "it is rounded by way of float16": partial(by_way_of, "float16"),
    "it is rounded by way of bfloat16": partial(by_way_of, "bfloat16"),
    "what is too large becomes the greatest number, not infinity": (
        saturated
    ),
    "subnormal numbers become 0": flushed,
}

ADD_IN_HALF: Mutants = {
    cause: partial(added, to=to) for cause, to in ROUNDINGS.items()
} | {
    "the sum stays in float32": partial(added, to=in_float32),
    "bits of the term below the total's last are cut off first": (
        brought_to_the_total
    ),
    "the term is subtracted": partial(added, to=nearest, sign=-1),
    "the term is left out": lambda total, term: total,
}


def summed(total, terms, add: Callable):
    """Term by term, in their order."""
    for index in range(terms.shape[-2]):
        total = add(total, terms[..., index, :])
    return total


def wide_sum(total, terms):
    """In float32, and rounded once."""
    wide = terms.astype(np.float32).sum(axis=-2)
    return (total.astype(np.float32) + wide).astype(total.dtype)


def terms_first(total, terms):
    inner = summed(np.zeros_like(total), terms, np.add)
    return total + inner


def in_pairs(total, terms):
    """Half of all with the other half, and so on."""
    parts = [total, *np.moveaxis(terms, -2, 0)]
    while len(parts) > 1:
        last = parts[len(parts) // 2 * 2 :]
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [a + b for a, b in pairs] + last
    return parts[0]


def compensated(total, terms):
    """What each addition lost is added to the next term (Kahan)."""
    lost = np.zeros_like(total)
    for index in range(terms.shape[-2]):
        term = terms[..., index, :] - lost
        new_total = total + term
        lost = (new_total - total) - term
        total = new_total
    return total


SUM_IN_HALF: Mutants = {
    f"at each term: {cause}": partial(summed, add=partial(added, to=to))
    for cause, to in ROUNDINGS.items()
} | {
    "it is added up in float32, and rounded once": wide_sum,
    "the terms are added up first, and then to the total": terms_first,
    "the terms are added from the last to the first": (
        lambda total, terms: summed(total, terms[..., ::-1, :], np.add)
    ),
    "the terms are added in pairs, and pairs of pairs": in_pairs,
    "what an addition lost is added to the next term, as by Kahan": (
        compensated
    ),
    "the total is left out": (
        lambda total, terms: summed(0 * total, terms, np.add)
    ),
    "the first term is left out": (
        lambda total, terms: summed(total, terms[..., 1:, :], np.add)
    ),
    "the last term is left out": (
        lambda total, terms: summed(total, terms[..., :-1, :], np.add)
    ),
}


# --- attention -----------------------------------------------------------


def kept(x, half):
    """Nothing is rounded here."""
    return x


def rounded(x, half):
    """Rounded to a half, and in float32 again."""
    return x.astype(half).astype(np.float32)


def cut_off(x, half):
    return taken_by(np.trunc, x, half).astype(np.float32)


def product(weights, value, half):
    return weights @ value


def product_in_half(weights, value, half):
    """Each product, and each sum so far, is rounded."""
    terms = weights[..., None] * value[..., None, :, :]
    context = np.zeros_like(terms[..., 0, :])
    for index in range(terms.shape[-2]):
        term = rounded(terms[..., index, :], half)
        context = rounded(context + term, half)
    return context


def softmax_of(scores, mask, half, powers=kept, empty=0.0):
    """Softmax where the mask is True; a row without a key is `empty`."""
    visible = np.where(mask, scores, -np.inf)
    highest = visible.max(axis=-1, keepdims=True)
    shift = np.where(np.isfinite(highest), highest, 0)
    exponentials = powers(np.exp(visible - shift), half)
    sums = total(exponentials)
    return np.where(sums > 0, exponentials / np.maximum(sums, 1e-30), empty)


def attention(
    query,
    key,
    value,
    mask,
    scaled=kept,
    scores=kept,
    powers=kept,
    weights=kept,
    multiply=product,
    output=nearest,
    scale=lambda query: query.shape[-1] ** -0.5,
    visible=nothing_done,
    empty=0.0,
):
    """Attention in float32, which may round at each place on its way."""
    half = query.dtype
    query, key, value = (a.astype(np.float32) for a in (query, key, value))
    small_query = scaled(query * np.float32(scale(query)), half)
    logits = scores(small_query @ key.swapaxes(-2, -1), half)
    probabilities = softmax_of(logits, visible(mask), half, powers, empty)
    context = multiply(weights(probabilities, half), value, half)
    return output(context, half)


def all_where_none(mask):
    """A row without a key sees them all."""
    return mask | ~mask.any(axis=-1, keepdims=True)


# Mistakes that are not of half precision alone.
PLAIN = {
    "the scale is left out": {"scale": lambda query: 1.0},
    "the mask is ignored": {"visible": np.ones_like},
    "the mask is inverted": {"visible": np.logical_not},
    "no query sees a later key, whatever the mask": {"visible": np.tril},
    "a fully masked row gets the mean, not zeros": {
        "visible": all_where_none
    },
    "a fully masked row gets NaN, not zeros": {"empty": np.nan},
}
OUTPUTS = {
    "the output stays in float32": {"output": in_float32},
    "the output is cut off, not rounded": {
        "output": partial(taken_by, np.trunc)
    },
    "a tie of the output goes away from zero, not to the even number": {
        "output": partial(taken_by, away_from_zero)
    },
    "the output is rounded by way of float16": {
        "output": partial(by_way_of, "float16")
    },
    "the output is rounded by way of bfloat16": {
        "output": partial(by_way_of, "bfloat16")
    },
    "products with the values are added up in half precision": {
        "multiply": product_in_half
    },
}
TWO = {"scores": rounded, "weights": rounded}

INSIDE_FLOAT32: Mutants = {
    cause: partial(attention, **places)
    for cause, places in {
        **PLAIN,
        **OUTPUTS,
        "the scaled query is rounded": {"scaled": rounded},
        "the scores are rounded": {"scores": rounded},
        "the exponentials are rounded, before they are summed": {
            "powers": rounded
        },
        "the weights are rounded, before they meet the values": {
            "weights": rounded
        },
        "scores and weights are rounded, as by one that rounds within": TWO,
    }.items()
}

ROUNDED_WITHIN: Mutants = {
    cause: partial(attention, **TWO | places)
    for cause, places in {
        **PLAIN,
        **OUTPUTS,
        "neither scores nor weights are rounded: it is in float32 inside": {
            "scores": kept,
            "weights": kept,
        },
        "the scores are not rounded": {"scores": kept},
        "the weights are not rounded": {"weights": kept},
        "the exponentials are rounded, not what they are divided to": {
            "powers": rounded,
            "weights": kept,
        },
        "the exponentials are rounded, and the weights once more": {
            "powers": rounded
        },
        "the scaled query is rounded, too": {"scaled": rounded},
        "the scores are cut off, not rounded": {"scores": cut_off},
        "the weights are cut off, not rounded": {"weights": cut_off},
    }.items()
}


# --- gradients -----------------------------------------------------------


def gradients(
    d_context,
    query,
    key,
    value,
    mask,
    scores=kept,
    weights=kept,
    d_weights=kept,
    d_scores=kept,
    of_softmax=masked_softmax_backward,
    output=nearest,
    visible=nothing_done,
):
    """The gradients in float32, which may be rounded on their way."""
    half, mask = query.dtype, visible(mask)
    wide = (a.astype(np.float32) for a in (d_context, query, key, value))
    d_context, query, key, value = wide
    root = np.float32(query.shape[-1] ** 0.5)
    logits = scores(query @ key.swapaxes(-2, -1) / root, half)
    used = weights(masked_softmax(logits, mask), half)
    of_weights = d_weights(d_context @ value.swapaxes(-2, -1), half)
    of_scores = d_scores(of_softmax(of_weights, logits, mask), half)
    d_value = used.swapaxes(-2, -1) @ d_context
    found = *attention_scores_backward(of_scores, query, key), d_value
    return tuple(output(part, half) for part in found)


def mean_not_subtracted(d_weights, scores, mask):
    return masked_softmax(scores, mask) * d_weights


def keys_and_values_swapped(*taken, right: Callable):
    d_query, d_key, d_value = right(*taken)
    return d_query, d_value, d_key


EVERYWHERE = {
    "scores": rounded,
    "weights": rounded,
    "d_weights": rounded,
    "d_scores": rounded,
}
WRONG_GRADIENTS = {
    "the row's mean gradient is not subtracted": {
        "of_softmax": mean_not_subtracted
    },
    "the mask is ignored": {"visible": np.ones_like},
    "the gradients stay in float32": {"output": in_float32},
    "the gradients are cut off, not rounded": {
        "output": partial(taken_by, np.trunc)
    },
}

INSIDE_FLOAT32_BACKWARD: Mutants = {
    cause: partial(gradients, **places)
    for cause, places in WRONG_GRADIENTS.items()
} | {
    "keys and values are swapped": partial(
        keys_and_values_swapped, right=attention_inside_float32_backward
    ),
    "the weights are rounded": partial(gradients, weights=rounded),
    "the gradients of the scores are rounded": partial(
        gradients, d_scores=rounded
    ),
    "it is rounded at each place, as by one that rounds within": (
        attention_rounded_within_backward
    ),
}

ROUNDED_WITHIN_BACKWARD: Mutants = {
    cause: partial(gradients, **EVERYWHERE | places)
    for cause, places in {
        **WRONG_GRADIENTS,
        "the scores are not rounded": {"scores": kept},
        "the weights are not rounded": {"weights": kept},
        "the gradients of the weights are not rounded": {"d_weights": kept},
        "the gradients of the scores are not rounded": {"d_scores": kept},
    }.items()
} | {
    "keys and values are swapped": partial(
        keys_and_values_swapped, right=attention_rounded_within_backward
    ),
    "nothing is rounded within: it is in float32 inside": (
        attention_inside_float32_backward
    ),
}

MUTANTS: dict[str, Mutants] = {
    "add_in_half": ADD_IN_HALF,
    "attention_inside_float32": INSIDE_FLOAT32,
    "attention_inside_float32_backward": INSIDE_FLOAT32_BACKWARD,
    "attention_rounded_within": ROUNDED_WITHIN,
    "attention_rounded_within_backward": ROUNDED_WITHIN_BACKWARD,
    "round_to": ROUND_TO,
    "sum_in_half": SUM_IN_HALF,
}
