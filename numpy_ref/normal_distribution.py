r"""The normal distribution, which NumPy lacks and PyTorch brings.

In float64 it is Python's `math.erfc`, number by number. In float32 it is
a hyperbolic tangent, which NumPy takes of many numbers at once:

$\Phi(x) = \frac{1}{2} (1 + \tanh(x \, p(x^2)))$

For every x there is a p with which this is exact, and it hardly bends:
`gelu_tanh` takes $\sqrt{2 / \pi} \, (1 + 0.044715 \, x^2)$ for it. With
five terms more it is right to the last digits of float32.
"""

from functools import cache
from math import erfc, log, pi, sin, sqrt

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from numpy.polynomial import Polynomial

END = 6  # beyond it the distribution is 0 or 1, to within 1e-9
DEGREE = 6
NODES = 400  # where the polynomial is fitted
BLOCK = 65536  # numbers at a time, few enough to stay in a cache


def normal_cdf(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    r"""Normal CDF: the probability that a normal number is below x.

    $\Phi(x) = \frac{1}{2} \operatorname{erfc}(-x / \sqrt{2})$

    In float32 the polynomial is off by 0.6 units of roundoff at most, and
    rounding adds about one.
    """
    if x.dtype == np.float64:
        return np.asarray(_exact(x), x.dtype)
    numbers = x.reshape(-1)
    probabilities = np.empty_like(numbers)
    for begin in range(0, numbers.size, BLOCK):
        block = slice(begin, begin + BLOCK)
        _by_tangent(numbers[block], probabilities[block])
    return probabilities.reshape(x.shape)


_exact = np.frompyfunc(lambda x: erfc(-x / sqrt(2)) / 2, 1, 1)


def _by_tangent(x, probability):
    """Write into `probability`: in place, since new memory takes longer."""
    within = np.clip(x, -END, END)
    square = within * within
    highest, *lower = _coefficients()
    probability.fill(highest)
    for coefficient in lower:
        probability *= square
        probability += coefficient
    probability *= within
    np.tanh(probability, out=probability)
    probability += 1
    probability /= 2


@cache
def _coefficients() -> list[float]:
    r"""Coefficients of p, highest power first, by weighted least squares.

    At x the argument of the tangent should be $\frac{1}{2} \ln(\Phi(x) /
    \Phi(-x))$; being off by d there moves $\Phi$ by $2 \Phi(x) \Phi(-x)
    d$, so that is the weight.
    """
    angles = [pi / 2 * (node + 0.5) / NODES for node in range(NODES)]
    x = [END * sin(angle) for angle in angles]
    above = [_exact(-a) for a in x]
    argument = [log((1 - b) / b) / 2 for b in above]
    p = np.divide(argument, x)
    weight = [2 * b * (1 - b) * a for a, b in zip(x, above, strict=True)]
    fit = Polynomial.fit(np.square(x), p, DEGREE, w=weight)
    return [float(c) for c in fit.convert().coef[::-1]]
