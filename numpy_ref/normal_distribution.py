r"""The normal distribution, which NumPy lacks and PyTorch brings.

A table holds exact values at many places, by Python's `math.erfc`; a
Taylor series goes from the nearest one to the number at hand.
"""

from functools import cache
from math import erfc, pi, sqrt

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array

PER_UNIT = 1024  # places in the table from one whole number to the next
END = 9  # beyond it the distribution is 0 or 1, to within 1.2e-19
TERMS = {"float32": 2, "float64": 5}
BLOCK = 32768  # numbers at a time, few enough to stay in a cache


def normal_cdf(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    r"""The probability that a normal number is below x.

    $\Phi(x) = \frac{1}{2}(1 + \operatorname{erf}(x / \sqrt{2}))
    \approx \sum_{k < n} \frac{\Phi^{(k)}(g)}{k!} (x - g)^k$

    With g the nearest place in the table, $|x - g| \le 2^{-11}$, the
    series is off by at most 2.9e-8 with the two terms that float32 gets
    (the next term: $2^{-22} \max |\Phi''| / 2!$), and by 2.8e-19 with the
    five that float64 gets ($2^{-55} \max |\Phi^{(5)}| / 5!$). In units of
    the precision's roundoff that is 0.5 and 0.003; rounding adds two.
    """
    numbers = x.reshape(-1)
    probabilities = np.empty_like(numbers)
    for begin in range(0, numbers.size, BLOCK):
        block = slice(begin, begin + BLOCK)
        _taylor_series(numbers[block], probabilities[block])
    return probabilities.reshape(x.shape)


def _taylor_series(x, total):
    """Into `total`; in place, since new memory takes longer than sums."""
    distance = np.clip(x, -END, END)
    distance *= PER_UNIT
    nearest = np.rint(distance)
    distance -= nearest  # exact, in steps of the table
    nearest += END * PER_UNIT
    with np.errstate(invalid="ignore"):  # a NaN is nowhere
        place = nearest.astype(np.int32)
    highest, *lower = _coefficients(x.dtype.name)
    highest.take(place, mode="clip", out=total)
    for coefficients in lower:
        total *= distance
        total += coefficients.take(place, mode="clip", out=nearest)


@cache
def _coefficients(dtype: str):
    """The Taylor coefficients at each place, the highest power first."""
    g = np.arange(-END * PER_UNIT, END * PER_UNIT + 1) / PER_UNIT
    probability = np.array([erfc(-a / sqrt(2)) / 2 for a in g])
    density = np.exp(-g * g / 2) / sqrt(2 * pi)
    derivatives = [  # each over its power's factorial
        probability,
        density,
        -g * density / 2,
        (g**2 - 1) * density / 6,
        -(g**3 - 3 * g) * density / 24,
    ]
    in_steps = [
        (derivative / PER_UNIT**power).astype(dtype)
        for power, derivative in enumerate(derivatives[: TERMS[dtype]])
    ]
    return in_steps[::-1]
