r"""Rounding error bounds: how far a correct evaluation may be from exact.

A `Bounded` is an exact value and an error: no correct evaluation in the
given precision, in whatever order it takes its sums, is further from the
value than the error. Two correct evaluations differ by at most twice that.

Notation: u is the unit roundoff, eps/2; eta the smallest normal number,
for what underflow can lose in one operation; gamma(n) = n u / (1 - n u),
the relative error of n roundings in a row, whatever their order (Higham
2002, lemma 3.1); 8 u is what a library's exp, sin or cos may be off by. A
kernel may come with a faster exp: f u, f = 8 unless it was measured
(`exponentials.py`). Nothing may overflow.

Each rule adds two parts. What the operands' errors do to the exact
result, by the triangle inequality; and what rounding adds to that, at
most u times the largest magnitude the result can have.

**Scores.** s = (q . k) / sqrt(d). A product of d terms is off by
gamma(d) sum |q||k| + d eta (Higham 2002, section 3.1). The root, its
reciprocal, rounding it to the array's precision and multiplying by it
are at most four roundings, or twice that when query and key are each
multiplied by the fourth root: gamma(d + 8) in all, and u |s| for the
last rounding. The domain: no entry of a query or key that was scaled
first is subnormal, unless it was 0; what it lost there, a large partner
would magnify.

**Weights.** With every score of a row off by at most E, each exponential
is off by a factor between e^-E and e^E, and so is their sum: a weight is
off by a factor between e^-2E and e^2E. Rounding a score's distance from
the maximum, which is m - s or up to 2 E more, costs that many u, which
exp makes relative; exp itself f u. In the sum that is weighted by the
weights, and sum p (m - s) is at most the entropy, at most ln n. The
sum's own n roundings and the division make theta_j =
(n + 2 f + 12 + 2 (m - s_j + 2 E) + 2 ln(n + 1)) u, the factors of 2 being
room for the products of small terms. Together, |error of p| <=
p expm1(2 E + log1p(theta)), never more than 1, and (n + 1) eta for
summands that underflow. The shift by the maximum cancels: any shift by
about the maximum, and block by block, falls under the same bound.

**Context.** A product with the weights: the rule for products, with the
weights' error carried along.
"""

from dataclasses import dataclass, field
from math import inf, log, sqrt

import numpy as np

FUNCTION_ROUNDINGS = 8


@dataclass(frozen=True)
class Rounding:
    """Rounding of a precision: unit roundoff and smallest normal number.

    `exp_roundings`: f, how many u the exp of a softmax may be off by.
    """

    u: float
    eta: float
    exp_roundings: int = field(default=FUNCTION_ROUNDINGS, compare=False)

    @classmethod
    def of(cls, dtype) -> "Rounding":
        """The rounding of a NumPy float dtype, or of bfloat16."""
        if np.dtype(dtype).name == "bfloat16":  # which finfo knows not
            return cls(2.0**-8, 2.0**-126)
        precision = np.finfo(dtype)
        return cls(float(precision.eps) / 2, float(precision.tiny))

    def gamma(self, roundings: int) -> float:
        """The relative error of so many roundings in a row.

        Infinite where there are so many that nothing is known.
        """
        total = roundings * self.u
        return total / (1 - total) if total < 1 else inf


@dataclass(frozen=True, eq=False)
class Bounded:
    """An array of exact values, each with the error it may come with.

    Values are float64, where a bound is all that is wanted, or mpmath's
    numbers, where the value itself is (`exact`).
    """

    value: np.ndarray
    error: np.ndarray
    rounding: Rounding

    @classmethod
    def exactly(cls, array: np.ndarray, value: np.ndarray) -> "Bounded":
        """An input: `array` as it came, its numbers written as `value`."""
        return cls(value, np.zeros(array.shape), Rounding.of(array.dtype))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def magnitude(self) -> np.ndarray:
        """The largest absolute value a correct evaluation can have."""
        return absolute(self.value) + self.error

    def moved(self, move) -> "Bounded":
        """The same numbers elsewhere: what only moves makes no error."""
        return Bounded(move(self.value), move(self.error), self.rounding)

    def rounded(self, value, propagated, roundings=1) -> "Bounded":
        """A result: the operands' errors have made `propagated` of it."""
        largest = absolute(value) + propagated
        error = propagated + self.rounding.gamma(roundings) * largest
        return Bounded(value, error + self.rounding.eta, self.rounding)

    def __add__(self, other: "Bounded") -> "Bounded":
        return self.rounded(
            self.value + other.value, self.error + other.error
        )

    def __sub__(self, other: "Bounded") -> "Bounded":
        return self.rounded(
            self.value - other.value, self.error + other.error
        )

    def __mul__(self, other: "Bounded") -> "Bounded":
        propagated = self.error * other.magnitude
        propagated = propagated + absolute(self.value) * other.error
        return self.rounded(self.value * other.value, propagated)

    def over(self, divisor) -> "Bounded":
        """Divided by a number that is itself the result of a rounding."""
        propagated = self.error / abs(float(divisor))
        return self.rounded(self.value / divisor, propagated, 3)

    def times(self, factor) -> "Bounded":
        """Multiplied by a number that is the result of a rounding."""
        propagated = self.error * abs(float(factor))
        return self.rounded(self.value * factor, propagated, 3)

    def total(self) -> "Bounded":
        """The sum over the last axis, which stays with size 1."""
        value = self.value.sum(axis=-1, keepdims=True)
        error = (
            self.error
            + self.rounding.gamma(self.shape[-1]) * self.magnitude
        )
        return Bounded(
            value, error.sum(axis=-1, keepdims=True), self.rounding
        )

    def greatest(self) -> "Bounded":
        """The maximum over the last axis, which stays with size 1.

        Of no number it is -inf, exactly.
        """
        along = {"axis": -1, "keepdims": True}
        value = self.value.max(**along, initial=-np.inf)
        error = self.error.max(**along, initial=0)
        return Bounded(value, error, self.rounding)


def is_float_dtype(dtype: np.dtype) -> bool:
    """Whether a dtype holds floats; NumPy takes bfloat16 for none."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def absolute(value: np.ndarray) -> np.ndarray:
    """|value| as float64, from float64 or from mpmath's numbers."""
    return np.asarray(np.abs(value)).astype(np.float64)


def apply(name: str, value: np.ndarray) -> np.ndarray:
    """A function of NumPy's or, for its numbers, that of mpmath."""
    if value.dtype != object:
        return getattr(np, name)(value)
    import mpmath

    return np.asarray(
        np.frompyfunc(getattr(mpmath, name), 1, 1)(value), object
    )


def exponential(a: Bounded) -> Bounded:
    """e^a, off by a factor e^(error of a)."""
    value = apply("exp", a.value)
    with np.errstate(over="ignore"):
        near = absolute(value) * np.expm1(np.minimum(a.error, 1))
        far = np.exp(a.value.astype(np.float64) + a.error)
    propagated = np.where(a.error <= 1, near, far)
    return a.rounded(value, propagated, a.rounding.exp_roundings)


def at_most_one(a: Bounded) -> Bounded:
    """Numbers from 0 to 1, whichever way they are computed."""
    return Bounded(a.value, np.minimum(a.error, 1), a.rounding)


def wave(name: str, a: Bounded) -> Bounded:
    """sin or cos: no steeper than 1, and no larger."""
    error = a.error + FUNCTION_ROUNDINGS * a.rounding.u + a.rounding.eta
    return Bounded(apply(name, a.value), error, a.rounding)


def where(mask: np.ndarray, a: Bounded, otherwise: float) -> Bounded:
    """`a` where the mask is True, and an exact number elsewhere."""
    mask = np.broadcast_to(mask, np.broadcast_shapes(mask.shape, a.shape))
    return Bounded(
        np.where(mask, a.value, otherwise),
        np.where(mask, a.error, 0),
        a.rounding,
    )


def product(axes: str, a: Bounded, b: Bounded, extra: int = 0) -> Bounded:
    """A sum of products, in einsum's notation; one axis is summed.

    `extra` roundings may stand beside those of the sum.
    """
    (summed,) = set(axes.split("->")[0]) - set(axes.split("->")[1]) - {","}
    terms = a.shape[
        axes.split(",")[0].index(summed) - len(axes.split(",")[0])
    ]
    value = np.asarray(np.einsum(axes, a.value, b.value))
    propagated = np.einsum(axes, a.error, b.magnitude) + np.einsum(
        axes, absolute(a.value), b.error
    )
    rounding = a.rounding.gamma(terms + extra) * np.einsum(
        axes, a.magnitude, b.magnitude
    )
    error = propagated + rounding + terms * a.rounding.eta
    return Bounded(value, error, a.rounding)


def products(axes: str, *factors: Bounded, extra: int = 0) -> Bounded:
    """A sum of products of several factors, in einsum's notation.

    It may be taken in any order that sums one axis after the other: each
    term then goes through a rounding for each factor, and through as many
    as an axis is long for each that is summed. What underflows may be
    multiplied by all other factors afterwards.
    """
    before, after = axes.split("->")
    sizes = {
        axis: factor.shape[place - len(names)]
        for names, factor in zip(before.split(","), factors, strict=True)
        for place, axis in enumerate(names)
        if axis.isalpha()
    }
    lengths = [sizes[axis] for axis in sizes if axis not in after]
    values = [absolute(factor.value) for factor in factors]
    largest = [factor.magnitude for factor in factors]
    propagated = sum(
        np.einsum(axes, *values[:n], factor.error, *largest[n + 1 :])
        for n, factor in enumerate(factors)
    )
    rounding = factors[0].rounding
    gamma = rounding.gamma(sum(lengths) + len(factors) + extra)
    growth = np.prod([np.max(size, initial=1) for size in largest])
    error = propagated + gamma * np.einsum(axes, *largest)
    error = error + np.prod(lengths) * growth * rounding.eta
    value = np.asarray(
        np.einsum(axes, *(factor.value for factor in factors))
    )
    return Bounded(value, error, rounding)


def affine(x: Bounded, weight: Bounded, bias: Bounded) -> Bounded:
    """x W^T + b, the bias added at the end or among the products."""
    projected = product("...i,oi->...o", x, weight, extra=1)
    error = (
        projected.error + x.rounding.gamma(x.shape[-1] + 1) * bias.magnitude
    )
    return Bounded(
        projected.value + bias.value, error + bias.error, x.rounding
    )


def scaled_scores(query: Bounded, key: Bounded) -> Bounded:
    """q . k / sqrt(d), whichever of the three the root divides."""
    features = query.shape[-1]
    similarity = product("...qi,...ki->...qk", query, key, extra=8)
    rounding = query.rounding
    value = similarity.value / apply("sqrt", like(query, features))
    error = similarity.error / sqrt(features) + rounding.u * absolute(value)
    underflow = features * rounding.eta
    return Bounded(value, error + underflow, rounding)


def distribution(scores: Bounded, mask: np.ndarray) -> Bounded:
    """Softmax over the keys that the mask allows; zeros without one."""
    mask = np.broadcast_to(mask, scores.shape)
    keys, u = scores.shape[-1], scores.rounding.u
    greatest = np.where(mask, scores.value, -inf).max(-1, keepdims=True)
    depth = np.where(mask, greatest - scores.value, 0)
    powers = np.where(mask, apply("exp", -depth), 0)
    total = powers.sum(-1, keepdims=True)
    value = powers / np.where(total == 0, 1, total)

    worst = np.where(mask, scores.error, 0).max(-1, keepdims=True)
    further = depth.astype(np.float64) + 2 * worst
    roundings = keys + 2 * scores.rounding.exp_roundings + 12
    theta = (roundings + 2 * further + 2 * log(keys + 1)) * u
    with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf
        log_share = -depth.astype(np.float64) - np.log(total.astype(float))
    growth = 2 * worst + np.log1p(theta)
    # In logarithms, because e^growth may overflow and the share underflow.
    highest = np.exp(np.minimum(0, log_share + growth))
    near = absolute(value) * np.expm1(np.minimum(growth, 1))
    error = np.where(growth <= 1, np.minimum(1, near), highest)
    error = error + (keys + 1) * scores.rounding.eta
    return Bounded(value, np.where(mask, error, 0), scores.rounding)


def weighted_mean(weights: Bounded, value: Bounded) -> Bounded:
    """For each query the sum of weight times value."""
    return product("...qk,...kv->...qv", weights, value)


def in_digits(array: np.ndarray) -> np.ndarray:
    """Floats as mpmath's numbers, of the same value to the last bit."""
    import mpmath

    wide = np.asarray(array, np.float64)
    return np.asarray(np.frompyfunc(mpmath.mpf, 1, 1)(wide), dtype=object)


def like(a: Bounded, number) -> np.ndarray:
    """A number, or an array of them, of the kind that `a` holds."""
    array = np.asarray(number, dtype=np.float64)
    return in_digits(array) if a.value.dtype == object else array
