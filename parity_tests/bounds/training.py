r"""Bounds of a loss and of running totals. Notation: `rounding.py`.

**Log-sum-exp.** y = m + ln T, T = sum exp(l - m). Each exponential is off
by 8 u and, because l - m was rounded, by (m - l) u, relative to itself.
In T, which weights them by p, the latter adds at most u times the sum of
p (m - l). That sum is the entropy of p less ln T, so at most ln n. With
the n roundings of the sum, T is off by (n + 8 + ln n) u, relatively, and
ln T by as much, absolutely; 10 u more are room for products of small
terms. The logarithm's own error is 8 u ln T <= 8 u ln n, the last
addition's u |y|. Where a logit is itself off by e, y is off by at most
the largest e. Exponentials that underflow lose at most (n + 1) eta of a T
that is at least 1.
"""

from math import log

from .rounding import FUNCTION_ROUNDINGS, Bounded, absolute, apply


def log_sum(logits: Bounded) -> Bounded:
    """ln sum e^l over the last axis, which stays with size 1."""
    keys, u = logits.shape[-1], logits.rounding.u
    greatest = logits.value.max(-1, keepdims=True)
    total = apply("exp", logits.value - greatest).sum(-1, keepdims=True)
    value = greatest + apply("log", total)
    roundings = keys + 2 * FUNCTION_ROUNDINGS + 2 + log(keys)
    roundings = roundings + FUNCTION_ROUNDINGS * log(keys)
    error = logits.error.max(-1, keepdims=True)
    error = error + u * (roundings + absolute(value) + error)
    underflow = (keys + 1) * logits.rounding.eta
    return Bounded(value, error + underflow, logits.rounding)


def running_total(a: Bounded) -> Bounded:
    """The sums of the first 1, 2, 3 ... numbers of the last axis."""
    gamma = a.rounding.gamma(a.shape[-1])
    error = (a.error + gamma * a.magnitude).cumsum(axis=-1)
    return Bounded(a.value.cumsum(axis=-1), error, a.rounding)
