import math

import numpy as np

from parity_tests.bounds.gradients import negative
from parity_tests.bounds.rounding import (
    FUNCTION_ROUNDINGS,
    Bounded,
    Rounding,
    absolute,
    like,
    wave,
)

from ..numbers import joined, known_exactly, stacked


def rotary_tables(positions, d_head, base):
    """In float64 but for the last rounding, whatever the precision."""
    wide = Rounding.of(np.float64)
    pair = np.arange(d_head // 2)
    power = like(positions, base) ** like(positions, -2 * pair / d_head)
    exponent = 2 * pair / d_head * abs(math.log(base))
    slack = (2 * exponent + FUNCTION_ROUNDINGS) * wide.u
    frequency = Bounded(power, absolute(power) * slack, wide)
    column = known_exactly(positions.value[:, None], frequency)
    angle = column * frequency
    cosine, sine = (
        as_precise_as(positions, wave(name, angle))
        for name in ("cos", "sin")
    )
    return locals()


def as_precise_as(a, exact):
    """Numbers of a higher precision, rounded to that of `a`."""
    return Bounded(exact.value, exact.error, a.rounding).rounded(
        exact.value, exact.error
    )


def rotary_halves(x, cosine, sine):
    half = x.shape[-1] // 2
    first = x.moved(lambda a: a[..., :half])
    second = x.moved(lambda a: a[..., half:])
    turned_first, turned_second = turned_pair(first, second, cosine, sine)
    turned = joined([turned_first, turned_second])
    return locals()


def turned_pair(first, second, cosine, sine):
    """Two features of a pair, as the complex number that they are."""
    real = first * cosine - second * sine
    imaginary = first * sine + second * cosine
    return real, imaginary


def rotary_halves_backward(d_turned, x, cosine, sine):
    d_x = rotary_halves(d_turned, cosine, negative(sine))["turned"]
    return {"d_x": d_x}


def rotary_neighbours(x, cosine, sine):
    first = x.moved(lambda a: a[..., ::2])
    second = x.moved(lambda a: a[..., 1::2])
    turned_first, turned_second = turned_pair(first, second, cosine, sine)
    pairs = stacked([turned_first, turned_second], -1)
    turned = pairs.moved(lambda a: a.reshape(x.shape))
    return locals()


def rotary_neighbours_backward(d_turned, x, cosine, sine):
    d_x = rotary_neighbours(d_turned, cosine, negative(sine))["turned"]
    return {"d_x": d_x}


def neighbours_to_halves(x):
    order = [*range(0, x.shape[-1], 2), *range(1, x.shape[-1], 2)]
    reordered = x.moved(lambda a: a[..., order])
    return locals()


def neighbours_to_halves_backward(d_reordered, x):
    order = [*range(0, x.shape[-1], 2), *range(1, x.shape[-1], 2)]
    back = np.argsort(order)
    return {"d_x": d_reordered.moved(lambda a: a[..., back])}
