import math

import numpy as np

from parity_tests.bounds.gradients import negative
from parity_tests.bounds.rounding import Bounded, Rounding, absolute, like

from ..numbers import known_exactly
from .rotary import as_precise_as


def alibi_bias(query_positions, key_positions, heads):
    """The slopes in float64 but for the last rounding."""
    wide = Rounding.of(np.float64)
    known = Bounded(query_positions.value, query_positions.error, wide)
    power = max(2**n for n in range(heads) if 2**n <= heads)
    numbers = [1 + index for index in range(power)]
    halves = [index + 1 / 2 for index in range(heads - power)]
    whole, between, exponent = (
        known_exactly(np.array(part, float), known)
        for part in (numbers, halves, [*numbers, *halves])
    )
    exponent = exponent.moved(lambda a: a * 8 / power)
    steep = like(known, 2) ** -exponent.value
    error = absolute(steep) * (8 + 8 * math.log(2)) * wide.u
    slope = as_precise_as(query_positions, Bounded(steep, error, wide))
    column = query_positions.moved(lambda a: a[:, None])
    distance = column - key_positions
    bias = negative(slope.moved(lambda a: a[:, None, None])) * distance
    return locals()
