r"""Bounds of the layers around attention. Notation: `rounding.py`.

**Variance.** The standard deviation over n features is a seminorm: errors
e of the features move it by at most their root mean square r, hence the
variance by 2 r sqrt(var) + r^2. A computed mean that is off by d adds d^2
to the mean square. Subtracting, squaring, summing n and dividing are
n + 5 roundings of positive terms: gamma(n + 5) of all that.

**Normalised.** z = (x - m) / s, s = sqrt(var + epsilon). With rho the
relative error of var + epsilon, s is off by a factor of at least
sqrt(1 - rho); for rho <= 1/2 this gives the sum below. Beyond, all that
is known of a computed z is that its square is at most n, n - 1 others
being squares too.

**Phi.** Between two rows of a table or by (1 + erf) / 2, a library is off
by at most 8 u and a rounding of its argument by a number of u times
x phi(x) < 1/4: 12 u in all, an absolute error, because 1 + erf cancels
for x far below 0. It is no steeper than phi(0) < 0.4.

**Sigmoid.** Its logarithm is no steeper than 1, so an error e of x moves
it by a factor between e^-e and e^e, and by e / 4 at most; an exponential,
a sum and a quotient are up to 12 roundings.

**tanh.** Its slope at y is 1 - tanh(y)^2, which falls with |y|: over an
interval it is steepest at the end nearest to 0.
"""

from math import erfc, sqrt

import numpy as np

from .rounding import FUNCTION_ROUNDINGS, Bounded, absolute, apply


def mean(a: Bounded) -> Bounded:
    """The mean over the last axis, which stays with size 1."""
    return a.total().over(a.shape[-1])


def variance(x: Bounded, centre: Bounded) -> Bounded:
    """The biased variance over the last axis, by way of the mean."""
    features = x.shape[-1]
    value = ((x.value - centre.value) ** 2).mean(axis=-1, keepdims=True)
    deviation = np.sqrt(absolute(value))
    moved = np.sqrt((x.error**2).mean(axis=-1, keepdims=True))
    propagated = 2 * moved * deviation + moved**2 + centre.error**2
    gamma = x.rounding.gamma(features + 5)
    rounding = gamma * (absolute(value) + propagated)
    error = propagated + rounding + features * x.rounding.eta
    return Bounded(value, error, x.rounding)


def root(a: Bounded) -> Bounded:
    """The square root of a number that is positive, or nearly so."""
    value = apply("sqrt", a.value)
    exact, near = absolute(a.value), absolute(value)
    lower = near - np.sqrt(np.maximum(exact - a.error, 0))
    higher = np.sqrt(exact + a.error) - near
    return a.rounded(value, np.maximum(lower, higher))


def normalised(centred: Bounded, deviation: Bounded) -> Bounded:
    """centred / deviation, the deviation of those very numbers."""
    features, u = centred.shape[-1], centred.rounding.u
    value = centred.value / deviation.value
    exact = absolute(deviation.value)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = exact / (exact - deviation.error)
        near = centred.error / exact * growth
        near = near + absolute(value) * (growth - 1 + 4 * u)
    known = deviation.error <= 0.29 * exact  # rho up to 1/2
    far = absolute(value) + sqrt(features) * (1 + 4 * u)
    error = np.where(known, np.minimum(near, far), far)
    return Bounded(value, error + centred.rounding.eta, centred.rounding)


def normal_cdf(x: Bounded) -> Bounded:
    """Phi: the probability that a normal number is below x."""
    if x.value.dtype == object:
        import mpmath

        value = np.asarray(np.frompyfunc(mpmath.ncdf, 1, 1)(x.value))
    else:
        half = np.frompyfunc(lambda a: erfc(-a / sqrt(2)) / 2, 1, 1)
        value = np.asarray(half(x.value), np.float64)
    error = 0.4 * x.error + 12 * x.rounding.u + x.rounding.eta
    return Bounded(value, np.minimum(error, 1), x.rounding)


def sigmoid(x: Bounded) -> Bounded:
    """1 / (1 + e^-x), by whichever of its forms."""
    value = 1 / (1 + apply("exp", -x.value))
    grown = absolute(value) * np.expm1(np.minimum(x.error, 1))
    propagated = np.minimum(grown, x.error / 4)
    return x.rounded(value, propagated, FUNCTION_ROUNDINGS + 4)


def hyperbolic_tangent(a: Bounded) -> Bounded:
    value = apply("tanh", a.value)
    nearest = np.maximum(absolute(a.value) - a.error, 0)
    propagated = np.minimum(a.error * (1 - np.tanh(nearest) ** 2), 2)
    return a.rounded(value, propagated, FUNCTION_ROUNDINGS)
