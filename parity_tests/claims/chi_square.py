r"""Chi-square distribution: tails and quantiles of sums of squares.

The sum of `freedom` independent squared normal numbers of variance 1 has
the chi-square distribution. Its tails are exact, so a test that uses them
has a known rate of false alarms, and a known power: no "six sigma", which
is a statement about normal numbers and not about their squares.

With $a = \text{freedom} / 2$ and $x = \text{total} / 2$ both tails come
from one recurrence, downwards and upwards,

$Q(a, x) = Q(a - 1, x) + x^{a-1} e^{-x} / \Gamma(a)$,
$P(a, x) = P(a + 1, x) + x^a e^{-x} / \Gamma(a + 1)$,

of which all terms are positive, so that nothing cancels (Abramowitz and
Stegun 1964, 26.4.4 to 26.4.8). What is left is the rounding of the first
term: the relative error of a tail is below $5 \cdot 10^{-16} (100 + a \ln
a)$, so below 1e-8 for two million degrees of freedom.
"""

from collections.abc import Callable
from math import erfc, exp, lgamma, log, sqrt
from typing import NamedTuple

FALSE_ALARM = 1e-9  # of one test with four tails
TAIL = FALSE_ALARM / 4
MISSED = 1e-9  # how often a wrong variance may pass
NEGLIGIBLE = 1e-17  # of a sum


class SumOfSquares(NamedTuple):
    """A sum of squares, each claimed to have mean 1."""

    total: float
    freedom: int

    @property
    def mean(self) -> float:
        return self.total / self.freedom

    @property
    def is_chance(self) -> bool:
        """False when no tail of 2.5e-10 reaches so far."""
        return min(lower_tail(*self), upper_tail(*self)) >= TAIL


def lower_tail(total: float, freedom: int) -> float:
    """The probability of a sum below `total`, which is not negative."""
    if total == 0:
        return 0.0
    if total > freedom:
        return 1 - upper_tail(total, freedom)
    a, x = freedom / 2, total / 2
    term = exp(a * log(x) - x - lgamma(a + 1))
    tail = 0.0
    while term > NEGLIGIBLE * tail:
        tail += term
        a += 1
        term *= x / a
    return tail


def upper_tail(total: float, freedom: int) -> float:
    """The probability of a sum above `total`."""
    if total <= freedom:
        return 1 - lower_tail(total, freedom)
    a, x = freedom / 2, total / 2
    tail = erfc(sqrt(x)) if freedom % 2 else 0.0
    term = exp((a - 1) * log(x) - x - lgamma(a))
    while a > 0.5 and term > NEGLIGIBLE * tail:
        tail += term
        a -= 1
        term *= a / x
    return tail


def lower_quantile(tail: float, freedom: int) -> float:
    """The sum that is undershot with probability `tail`, below a half."""
    return crossing(
        lambda total: lower_tail(total, freedom) > tail, 0, freedom
    )


def upper_quantile(tail: float, freedom: int) -> float:
    """The sum that is exceeded with probability `tail`, below 0.3."""
    high = 2 * freedom
    while upper_tail(high, freedom) > tail:
        high *= 2
    return crossing(
        lambda total: upper_tail(total, freedom) < tail, freedom, high
    )


def crossing(
    above: Callable[[float], bool], low: float, high: float
) -> float:
    """Where `above` turns from False to True, by halving to the end."""
    middle = (low + high) / 2
    while low < middle < high:
        low, high = (low, middle) if above(middle) else (middle, high)
        middle = (low + high) / 2
    return high


def pairs_needed(ratio: float) -> int:
    """Sample size: the fewest squares that show a variance off by `ratio`.

    Too large or too small: either is missed with probability 1e-9 at
    most, and a right variance is called wrong with 1e-9 at most.
    `ratio` > 1. Too small is the harder one: for 2 it takes 629 squares,
    where too large would take 624.
    """
    low, high = 1, 2
    while is_missed(high, ratio):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        seen = not is_missed(middle, ratio)
        low, high = (low, middle) if seen else (middle, high)
    return high


def is_missed(pairs: int, ratio: float) -> bool:
    """Whether so few squares, with the wrong mean, could pass."""
    reach = upper_quantile(TAIL, pairs), lower_quantile(TAIL, pairs)
    too_large = lower_tail(reach[0] / ratio, pairs)
    too_small = upper_tail(reach[1] * ratio, pairs)
    return max(too_large, too_small) > MISSED
