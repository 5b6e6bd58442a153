r"""Sums in half precision that are too long for a bound: a statistical one.

Of n numbers that are added up in half precision no bound is left from
n u = 1 on (`half_precision.py`), since every rounding may go the same way.
Few sums do that. This says how far off one is that does not, for a kernel
that normalises its weights and adds up their products with the values in
half precision, and nothing else.

**Premise.** The errors of the additions are independent, and zero in the
mean. That is no theorem. It fails where a sum stands still: a product that
is less than half the distance of neighbouring numbers is lost, each time,
as where all values have one sign. So the products of at least half of a
query's keys must be as large as the distance of neighbours at the partial
sum, in the order of the keys, and the products must have both signs: at
least a fifth of their size must cancel. Else nothing is said.

**One addition** of a product a_k to a partial sum rounds by at most c_k =
min(u |s|, |a_k|), s being what comes out: the partial sum is a number of
the format, and the nearest one to s is no further than that. What is
computed is not quite a_k and s: twice |a_k| is taken, and |s| with what
is certain to explain its error, and with the root of the sum of squares
of all that was lost before.

**All of them** are off by more than $\lambda \sqrt{\sum c_k^2}$ with a
probability of at most $2 e^{-\lambda^2 / 2}$ (Azuma 1967). With
$\lambda = \sqrt{2 \ln(2 \cdot 10^6 / 10^{-9})} = 8.4$ one of a million
outputs is with a probability of 1e-9, if the premise holds.

**Order.** The partial sums depend on it, and it is not known. The largest
of several is taken: in the order of the keys, backwards, and in 2 to 32
interleaved parts, which are added up at the end.

What else the kernel rounds counts in full, as it does in the bound, and
so does the rounding of each product.
"""

from dataclasses import replace
from math import inf, log, sqrt

import numpy as np

from .half_precision import (
    HalfBound,
    Profile,
    adds_too_many,
    attention_bound,
    scores_of,
    sum_overflow,
)
from .half_profile import grown, nothing_known

FALSE_ALARM, OUTPUTS = 1e-9, 1e6
DEVIATIONS = sqrt(2 * log(2 * OUTPUTS / FALSE_ALARM))
PARTS = (2, 4, 8, 16, 32)
ENOUGH = 0.5  # of the keys, whose products do not vanish in the sum
MOST_LEFT = 0.8  # of the size of products, after they have cancelled


def statistical_bound(
    query, key, value, profile: Profile, mask=None
) -> HalfBound:
    """Attention's exact output, and how far it may be off where the
    premise holds; infinite where it does not.

    Arguments as for `attention_bound`, to be asked where that one's error
    is infinite because of `accumulation`.
    """
    query, key, value = (
        np.asarray(array, np.float64) for array in (query, key, value)
    )
    single = replace(profile, context_in="float32")
    certain = attention_bound(query, key, value, single, mask)
    sizes = query.shape[-1], key.shape[-2]
    if adds_too_many(single, *sizes) or not profile.normalised:
        return nothing_known(certain.value)
    scores = scores_of(query, key, single, mask)
    products = scores.weights[..., None] * value[..., None, :, :]
    size = np.abs(products).sum(-2)
    error = certain.error + profile.u * (size + certain.error)
    spread = deviation(products, error, profile.u)
    error = (
        error + (1 + grown(profile.output_roundings, profile.u)) * spread
    )
    holds = premise(products, scores.mask, profile.u)
    too_large = sum_overflow(scores.mask, value, profile)
    some_key = scores.mask.any(-1, keepdims=True)
    known = (holds & ~too_large) | ~some_key
    return HalfBound(
        certain.value,
        np.where(known, error, inf),
        certain.overflow | (too_large & some_key),
        accumulation=True,
        statistical=True,
    )


def premise(products, mask, u: float) -> np.ndarray:
    """Where products have both signs, and few vanish in the sum."""
    sums = np.abs(np.cumsum(products, axis=-2))
    size = np.abs(products).sum(-2)
    cancel = sums[..., -1, :] <= MOST_LEFT * size
    _, exponents = np.frexp(sums)
    neighbours = np.where(sums > 0, np.ldexp(2 * u, exponents - 1), 0)
    counts = mask[..., None] & (np.abs(products) >= neighbours)
    keys = mask.sum(-1, keepdims=True)
    return cancel & (counts.sum(-2) >= ENOUGH * np.maximum(keys, 1))


def deviation(products, error, u: float) -> np.ndarray:
    """lambda sqrt(sum c^2), the largest of several orders."""
    squares = [
        of_order(part, error, u)
        for part in (products, np.flip(products, -2))
    ]
    for parts in PARTS:
        within, totals = interleaved(products, parts)
        inner = of_order(within, error[..., None, :], u).sum(-2)
        squares.append(inner + of_order(totals, error, u))
    return DEVIATIONS * np.sqrt(np.maximum.reduce(squares))


def of_order(products, error, u: float) -> np.ndarray:
    """The sum of c^2 where products are added up as they stand; a partial
    sum is off by an error, and by what was lost before it."""
    sums = np.abs(np.cumsum(products, axis=-2)) + error[..., None, :]
    most = 2 * np.abs(products)
    lost = np.square(np.minimum(u * sums, most))
    before = np.sqrt(np.cumsum(lost, axis=-2))
    lost = np.square(np.minimum(u * (sums + before), most))
    return lost.sum(-2)


def interleaved(products, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Every so many-th key together, (..., part, key, feature), and what
    the parts come to."""
    missing = -products.shape[-2] % parts
    before = [(0, 0)] * (products.ndim - 2)
    padded = np.pad(products, [*before, (0, missing), (0, 0)])
    shape = (*padded.shape[:-2], -1, parts, padded.shape[-1])
    within = padded.reshape(shape).swapaxes(-3, -2)
    return within, within.sum(-2)
