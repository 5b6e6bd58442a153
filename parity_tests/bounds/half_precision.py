r"""Attention in bfloat16 and float16: how far it may be from exact.

Query, key and value are 16-bit numbers, and exact. A `Profile` says where
a kernel rounds to its 16-bit format; all else it does in float32. No
kernel of the profile, in whatever order it takes its sums, is further
from exact than the error that is derived here, element by element.

Notation: u is the format's unit roundoff, w that of float32. A number
that goes through k roundings by u comes out with a factor from (1 - u)^k
to (1 + u)^k (Higham 2002, lemma 3.1): off by up to g(k, u) = (1 + u)^k - 1,
and one that is divided by it by up to h(k, u) = (1 - u)^-k - 1. From k u =
1 on more may be lost than there was, and nothing is said. a is what a
rounding loses that underflows: half the smallest subnormal number or,
where those become 0, the smallest normal one. c is the scale, d the
features, n the keys, m the greatest score of a row, B the most blocks that
an online softmax takes (Milakov and Gimelshein 2018). float64, in which all
of this is computed, makes as many roundings as float32, 2^-29 times as
large: w is taken 2^-20 larger to hold them.

**Scores.** s = c (q . k) is a sum of d products. Each product goes
through a rounding by u for query and key if they were scaled first, d
roundings where it is added up, and up to 8 of float32 for the root, its
reciprocal, log2 e and the multiplications. With M = |c| sum |q||k|,

  E1 = M ((1 + u)^before (1 + g(d, sum's u)) (1 + h(8, w)) - 1).

Then the score is itself rounded r times: E = E1 + ((1 + u)^r - 1)(|s| +
E1). What underflows in a scaled query is multiplied by a key, and the
other way round: a sum |k| + a sum |q| + d a^2.

**Weights, in logarithms.** The computed maximum is off by at most the
row's largest E, and so a key's distance from it is at most D = m - s +
2 max E. What a key's exponential is off by, in its logarithm, is E of its
score; w D for rounding the distance, w D for log2 e and, where the
scores were multiplied by it one by one, w |s| + w |m| <= w D + 2 w |m|;
-ln(1 - x) for an exp that is off by x; and as much for each of B times
that the running maximum moved. All distances on that way add up to D.
A softmax in half precision rounds the distance, u D (+ a), and the
exponential, -ln(1 - u). Weights that are rounded before they are summed
and meet the values are off by -ln(1 - u) more. Together: L.

All this stands in numerator and denominator alike. What is the same for
all keys cancels there; what is not can be no worse than the extremes of
the weighted mean with ln p off by L (`weighted_means.py`).

**In the numerator only** stand the rounding of a weight whose unrounded
self was summed, or that was normalised before; the product with the
value, n summands, B rescalings with their additions, and the division:

  K = (1 + u)^alone (1 + g(n + 2 B + 2, sum's u)) (1 + w)^2 - 1.

Each term p v is off by up to K p |v|: the result is a mean of v + K |v| at
most, and of v - K |v| at least. So one optimum holds both errors, and o,
the exact output, is off by

  R = max(greatest mean(v + K |v|) - o, o - least mean(v - K |v|)).

**In the denominator only** stand its n summands and B rescalings, and the
rounding of the sum in a softmax that is all in half precision. All terms
are positive, so that is a factor of the sum, and of the whole output: J =
(1 + h(n + 2 B + 2, sum's u)) (1 + h(1, u)) - 1, J (|o| + R) more.

**Underflow of weights.** A weight that may lie below the format's normal
numbers loses up to a; exp of float32 may return 0 below its own, 2^-126.
In the numerator that is multiplied by |v|, in the denominator by the mean,
no more than max |v|; and both are divided by the sum, which is at least
what the greatest score's own weight is, (1 - x)(1 - u). Products with
values may underflow, too.

**Output.** Rounded r times: T = R + ((1 + u)^r - 1)(|o| + R) + r a.

**Overflow.** The error is infinite where a number that the profile keeps
in half precision, or a partial sum of such, may leave the format: a
scaled query or key, a product or score, the sum of weights times values
(where weights are not normalised first, up to sum |v|), and the output. A
key that is masked is computed, too. In bfloat16 the same sums may pass
float32's range. `HalfBound` says which: `overflow`, by element, or
`accumulation`, where k u >= 1 for one of the sums.

**A row without a key** is 0, and off by the output's underflow only.
"""

from dataclasses import dataclass
from math import inf, log, log1p, sqrt

import numpy as np

from .half_profile import (
    FORMATS,
    SINGLE_U,
    HalfBound,
    HalfFormat,
    Profile,
    grown,
    nothing_known,
    shrunk,
    widest,
)
from .weighted_means import greatest_mean, least_mean

__all__ = [
    "FORMATS",
    "HalfBound",
    "HalfFormat",
    "Profile",
    "attention_bound",
]

SINGLE_NORMAL = 2.0**-126
SINGLE_GREATEST = (2 - 2.0**-23) * 2.0**127
SCALE_ROUNDINGS = 8
SCALED_FIRST = {"nothing": 0, "query": 1, "key": 1, "both": 2}


@dataclass(frozen=True, eq=False)
class Scores:
    """Scaled scores, their errors, who takes part, which rows overflow."""

    value: np.ndarray
    error: np.ndarray
    mask: np.ndarray
    overflow: np.ndarray

    @property
    def greatest(self) -> np.ndarray:
        """The greatest score of a row; without a key, 0."""
        highest = np.where(self.mask, self.value, -inf)
        highest = highest.max(-1, keepdims=True, initial=-inf)
        return np.where(highest > -inf, highest, 0)

    @property
    def worst(self) -> np.ndarray:
        """The largest error of a row."""
        allowed = np.where(self.mask, self.error, 0)
        return allowed.max(-1, keepdims=True, initial=0)

    @property
    def log_weights(self) -> np.ndarray:
        """The logarithm of the softmax; -inf for a masked key."""
        distance = np.where(self.mask, self.value - self.greatest, -inf)
        total = np.exp(distance).sum(-1, keepdims=True)
        return distance - np.log(np.where(total > 0, total, 1))

    @property
    def weights(self) -> np.ndarray:
        """The softmax; zeros without a key."""
        return np.exp(self.log_weights)


def attention_bound(
    query, key, value, profile: Profile, mask=None, scale=None
) -> HalfBound:
    """Attention's exact output, and how far a kernel's may be off.

    (..., query, d), (..., key, d) and (..., key, d_value), with any
    leading axes that broadcast; `mask` (..., query, key) is True where a
    query may attend. `scale` is 1 / sqrt(d) if none is given.
    """
    query, key, value = (
        np.asarray(array, np.float64) for array in (query, key, value)
    )
    return widest(
        [
            bound_of(query, key, value, choice, mask, scale)
            for choice in profile.choices()
        ]
    )


def bound_of(query, key, value, profile, mask, scale) -> HalfBound:
    """The bound of a profile that leaves nothing open."""
    scores = scores_of(query, key, profile, mask, scale)
    context = scores.weights @ value
    if adds_too_many(profile, query.shape[-1], key.shape[-2]):
        return nothing_known(context)
    before = context_error(scores, value, context, profile)
    error = profile.rounded(context, before, profile.output_roundings)
    too_large = np.abs(context) + error > profile.format.greatest
    too_large = too_large | sum_overflow(scores.mask, value, profile)
    too_large = too_large | scores.overflow[..., None]
    error = np.where(too_large | np.isnan(error), inf, error)
    nothing = profile.rounded(0, 0, profile.output_roundings)
    some_key = scores.mask.any(-1, keepdims=True)
    error = np.where(some_key, error, nothing)
    return HalfBound(context, error, too_large & some_key)


def adds_too_many(profile, features: int, keys: int) -> bool:
    """Whether more may be lost from a sum in half than there was."""
    lengths = (
        (features, profile.scores_in),
        (profile.summands(keys), profile.sum_in),
        (profile.summands(keys), profile.context_in),
    )
    return any(
        length * profile.unit(precision) >= 1
        for length, precision in lengths
    )


def scores_of(query, key, profile, mask=None, scale=None) -> Scores:
    """Scores, E, and where a score may be too large."""
    features = query.shape[-1]
    scale = scale_of(profile, features, scale)
    score = scale * (query @ key.swapaxes(-2, -1))
    size = np.abs(query) @ np.abs(key).swapaxes(-2, -1)
    product = abs(scale) * size * score_growth(profile, features)
    product = product + score_underflow(query, key, scale, profile)
    error = profile.rounded(score, product, profile.score_roundings, scale)
    mask = np.broadcast_to(True if mask is None else mask, score.shape)
    largest = np.abs(score) + error
    too_large = score_overflow(query, key, scale, size, largest, profile)
    return Scores(score, error, mask, too_large)


def scale_of(profile, features: int, scale) -> float:
    """1 / sqrt(d), or what is given; rounded to half where that is done."""
    scale = 1 / sqrt(features) if scale is None else float(scale)
    if not profile.scale_rounded:
        return scale
    if profile.scaled_before == "both":
        return profile.nearest(sqrt(scale)) ** 2
    return profile.nearest(scale)


def score_growth(profile, features: int) -> float:
    """What a scaled product is off by, in units of M."""
    before = 1 + grown(SCALED_FIRST[profile.scaled_before], profile.u)
    added = 1 + grown(features, profile.unit(profile.scores_in))
    return before * added * (1 + shrunk(SCALE_ROUNDINGS, SINGLE_U)) - 1


def score_underflow(query, key, scale, profile) -> np.ndarray:
    """What subnormal operands lose, and subnormal products and sums."""
    features = query.shape[-1]
    operand = summand = SINGLE_NORMAL
    if SCALED_FIRST[profile.scaled_before] or profile.flushes_subnormals:
        operand = operand + profile.lost
    if profile.scores_in == "half":
        summand = summand + 2 * profile.lost
    partners = (
        np.abs(query).sum(-1)[..., :, None]
        + np.abs(key).sum(-1)[..., None, :]
        + features * operand
    )
    return (operand * partners + features * summand) * max(1, abs(scale))


def score_overflow(query, key, scale, size, largest, profile) -> np.ndarray:
    """The queries one of whose scores, on its way, may be too large."""
    first = SCALED_FIRST[profile.scaled_before] > 0
    factor = abs(scale) if first else 1
    sums = factor * size * (1 + score_growth(profile, query.shape[-1]))
    greatest = profile.format.greatest
    too_large = sums > SINGLE_GREATEST
    if profile.scores_in == "half":
        too_large = too_large | (sums > greatest)
    if profile.score_roundings:
        unscaled = 1 if first or not scale else max(1, 1 / abs(scale))
        too_large = too_large | (largest * unscaled > greatest)
    too_large = too_large.any(-1)
    if first:
        operand = np.maximum(
            np.abs(query).max(-1), np.abs(key).max((-2, -1))[..., None]
        )
        too_large = too_large | (operand * max(1, abs(scale)) > greatest)
    return too_large


def log_weight_errors(scores: Scores, profile) -> np.ndarray:
    """L: what weights are off by, above and below the line alike."""
    distance = scores.greatest - scores.value + 2 * scores.worst
    distance = np.where(scores.mask, distance, 0)
    largest = np.abs(scores.greatest) + scores.worst
    blocks = profile.blocks(scores.value.shape[-1])
    error = scores.error + SINGLE_U * (3 * distance + 2 * largest)
    error = error - log1p(-profile.exp_error)
    error = error - blocks * log1p(-profile.rescale_error)
    if profile.all_in_half:
        error = error + profile.u * distance + profile.lost
    if profile.all_in_half or profile.sums_rounded:
        error = error - log1p(-profile.u)
    return np.where(scores.mask, error, 0)


def context_error(scores, value, context, profile) -> np.ndarray:
    """R, with what underflows and what the sum of weights is off by."""
    log_weights = scores.log_weights
    log_errors = log_weight_errors(scores, profile)
    numerator = numerator_growth(profile, value.shape[-2])
    denominator = denominator_growth(profile, value.shape[-2])
    further = numerator * np.abs(value)
    above = greatest_mean(log_weights, log_errors, value + further)
    below = least_mean(log_weights, log_errors, value - further)
    error = np.maximum(above - context, context - below)
    vanished = context_underflow(log_weights, log_errors, value, profile)
    error = error + (1 + numerator) * vanished
    return error + denominator * (np.abs(context) + error)


def numerator_growth(profile, keys: int) -> float:
    """K: what a weight times a value is off by, its part of the sum not."""
    in_sum = profile.sums_rounded or not profile.weight_roundings
    alone = 1 + grown(0 if in_sum else 1, profile.u)
    precision = profile.unit(profile.context_in)
    added = 1 + grown(profile.summands(keys), precision)
    return alone * added * (1 + SINGLE_U) ** 2 - 1


def denominator_growth(profile, keys: int) -> float:
    """J: what the sum of weights itself makes of the output."""
    alone = 1 + shrunk(1 if profile.all_in_half else 0, profile.u)
    precision = profile.unit(profile.sum_in)
    return alone * (1 + shrunk(profile.summands(keys), precision)) - 1


def context_underflow(log_weights, log_errors, value, profile):
    """What weights, and their products with values, lose to underflow."""
    keys, size = value.shape[-2], np.abs(value)
    single = 2 * SINGLE_NORMAL * (1 + profile.blocks(keys))
    worst = log_errors.max(-1, keepdims=True, initial=0)
    small = log_weights - 2 * worst < log(2 * profile.format.normal)
    lost = single + small * profile.weight_roundings * profile.lost
    lost = np.where(log_weights > -inf, lost, 0)
    largest = size.max(-2, keepdims=True, initial=0)
    vanished = lost @ size + lost.sum(-1, keepdims=True) * largest
    vanished = vanished + keys * single
    if profile.context_in == "half":
        vanished = vanished + 2 * keys * profile.lost
    if profile.flushes_subnormals:
        vanished = vanished + profile.lost
    return vanished / ((1 - profile.exp_error) * (1 - profile.u))


def sum_overflow(mask, value, profile) -> np.ndarray:
    """Where a sum of weights times values may be too large on its way."""
    size = np.abs(value)
    terms = np.where(mask, 1.0, 0.0) @ size
    if profile.normalised or profile.all_in_half:
        terms = np.minimum(terms, size.max(-2, keepdims=True, initial=0))
    growth = 1 + numerator_growth(profile, value.shape[-2])
    half = profile.context_in == "half"
    greatest = profile.format.greatest if half else SINGLE_GREATEST
    return growth * (1 + profile.exp_error) * terms > greatest
