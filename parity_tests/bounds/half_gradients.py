r"""Attention's gradients in bfloat16 and float16: how far they may be off.

Notation: `half_precision.py`. G is the output's gradient, of exact 16-bit
numbers. A `BackwardProfile` says where the backward pass rounds to its
16-bit format; the forward profile says what scores and weights are off by.

$$\mathrm{d}V = P^\top G \qquad \mathrm{d}P = G V^\top \qquad
\mathrm{d}S = P \circ (\mathrm{d}P - D) \qquad
\mathrm{d}Q = c\, \mathrm{d}S\, K \qquad
\mathrm{d}K = c\, \mathrm{d}S^\top Q$$

**Weights.** They are taken anew from the scores and the stored log-sum-exp
(Dao et al. 2022), or kept from the forward pass. A sum of exponentials
whose logarithms are off by L is off, in its logarithm, by at most max L,
by its own n + 2 B + 2 roundings, and by those of the logarithm and of what
it is added to, (4 |m| + 16 + 16 ln n) w; so ln P is off by A = L + max L +
all that, and P by P (e^A - 1). For dV they are rounded as they are in the
forward pass; for dS, too, where they are kept.

**D,** a row's mean of dP weighted by P, is the same as G . o. From the
stored output it is off by T of each element (`attention_bound`), and
where it is taken from P and dP, by the errors of those.

**Sums and products** carry their operands' errors by the rules of
`rounding.py`, in float32. dS comes about as P (dP - D), as P dP - P D, or
from the exponentials and their sum, in up to n + 8 roundings of terms as
large as P (|dP| + sum P |dP|). The gradient does not go through the
maximum. What is rounded to half is off by (1 + u)^r - 1 more.

**Blocks.** A kernel that adds up dQ over blocks of keys, or dK and dV over
blocks of queries, in an array of the 16-bit format rounds each partial
sum. A term goes through at most as many roundings as there are blocks, and
a partial sum is no larger than the terms' magnitudes together.

What may be too large for the format makes the error infinite in all that
it goes into.
"""

from dataclasses import dataclass
from math import inf, log, log1p

import numpy as np

from .gradients import mean_size
from .half_precision import (
    SCALED_FIRST,
    SINGLE_NORMAL,
    HalfBound,
    Profile,
    Scores,
    attention_bound,
    denominator_growth,
    log_weight_errors,
    scale_of,
    scores_of,
)
from .half_profile import SINGLE_U, grown, widest
from .rounding import Bounded, Rounding, product, where

SINGLE = Rounding(SINGLE_U, SINGLE_NORMAL)


@dataclass(frozen=True)
class BackwardProfile:
    """Where an attention kernel's backward pass rounds to its format.

    `d_weights_roundings`: how often a gradient of a weight is rounded.
    `d_scores_roundings`: how often one of a score is, scaled or not.
    `output_roundings`: how often those of query, key and value are.
    `query_block`: gradients of key and value are added up in half, over
    blocks of so many queries; 0: in float32, and rounded at the end.
    `key_block`: the same of the query's, over blocks of keys.
    `from_output`: D is the product of the output, as it is stored, and its
    gradient; else it is summed from weights and their gradients.
    `sums_in`: the precision that all products are added up in.
    """

    d_weights_roundings: int = 0
    d_scores_roundings: int = 0
    output_roundings: int = 1
    query_block: int = 0
    key_block: int = 0
    from_output: bool = False
    sums_in: str = "float32"


def attention_gradient_bounds(
    d_context,
    query,
    key,
    value,
    profile: Profile,
    backward: BackwardProfile,
    mask=None,
    scale=None,
) -> tuple[HalfBound, HalfBound, HalfBound]:
    """The gradients of query, key and value, and how far they may be off.

    Shapes as in `attention_bound`, with the same leading axes for all.
    """
    arrays = [
        np.asarray(array, np.float64)
        for array in (d_context, query, key, value)
    ]
    bounds = [
        bounds_of(*arrays, choice, backward, mask, scale)
        for choice in profile.choices()
    ]
    d_query, d_key, d_value = zip(*bounds, strict=True)
    return widest(d_query), widest(d_key), widest(d_value)


@np.errstate(invalid="ignore", over="ignore")
def bounds_of(
    d_context, query, key, value, profile, backward, mask, scale
) -> tuple[HalfBound, HalfBound, HalfBound]:
    """The bounds of a profile that leaves nothing open."""
    scores = scores_of(query, key, profile, mask, scale)
    output = None
    if backward.from_output:
        output = attention_bound(query, key, value, profile, mask, scale)
    factor = scale_of(profile, query.shape[-1], scale)
    sums = Sums(profile, backward, *scores.value.shape[-2:])

    weights = recomputed_weights(scores, profile)
    used_weights = weights_in_half(weights, profile)
    d_output, values = sums.exactly(d_context), sums.exactly(value)
    d_weights = product("...qv,...kv->...qk", d_output, values)
    d_weights = in_half(d_weights, profile, backward.d_weights_roundings)
    if output is None:
        weights = used_weights
        mean = (weights * d_weights).total()
    else:
        stored = Bounded(output.value, output.error, SINGLE)
        mean = (d_output * stored).total()
    d_scores = softmax_backward(weights, d_weights, mean)
    d_scores = in_half(
        d_scores, profile, backward.d_scores_roundings, 1 / (factor or 1)
    )
    d_scores, used_weights = (
        allowed(part, scores.mask) for part in (d_scores, used_weights)
    )
    queries, keys = (scaled_first(part, profile) for part in (query, key))
    return (
        sums.over_keys("...qk,...kd->...qd", d_scores, keys, factor),
        sums.over_queries("...qk,...qd->...kd", d_scores, queries, factor),
        sums.over_queries("...qk,...qv->...kv", used_weights, d_output, 1),
    )


@dataclass(frozen=True)
class Sums:
    """How sums over so many queries or keys are taken, and rounded."""

    profile: Profile
    backward: BackwardProfile
    queries: int
    keys: int

    def exactly(self, array) -> Bounded:
        """An input, multiplied and added up in the profile's precision."""
        u = self.profile.unit(self.backward.sums_in)
        return Bounded(array, np.zeros(array.shape), Rounding(u, self.eta))

    @property
    def eta(self) -> float:
        """What one product or sum may lose that underflows."""
        in_half = self.backward.sums_in == "half"
        return 2 * self.profile.lost if in_half else SINGLE_NORMAL

    def over_keys(self, axes, a, b, factor) -> HalfBound:
        blocks = blocks_of(self.keys, self.backward.key_block)
        return self.over(axes, a, b, factor, self.keys, blocks)

    def over_queries(self, axes, a, b, factor) -> HalfBound:
        blocks = blocks_of(self.queries, self.backward.query_block)
        return self.over(axes, a, b, factor, self.queries, blocks)

    def over(self, axes, a, b, factor, terms, blocks) -> HalfBound:
        """A sum of products, times a factor, block by block in half."""
        profile, times = self.profile, self.backward.output_roundings
        a = Bounded(a.value, a.error, self.exactly(a.value).rounding)
        extra = 2 * profile.blocks(terms) + 4
        total = product(axes, a, b, extra).times(factor)
        size = abs(factor) * np.einsum(axes, a.magnitude, b.magnitude)
        partial = grown(blocks - 1, profile.u) * (size + total.error)
        error = total.error + partial + (blocks - 1) * profile.lost
        error = profile.rounded(total.value, error, times)
        too_long = a.rounding.gamma(terms + extra) == inf
        return known(total.value, error, profile, too_long)


def known(value, error, profile, too_long: bool) -> HalfBound:
    """A result that the format holds, or else an infinite error."""
    largest = np.abs(value) + error
    fits = largest <= profile.format.greatest  # not where it is NaN
    error = np.where(fits, error, inf)
    return HalfBound(value, error, ~fits & (not too_long), too_long)


def recomputed_weights(scores: Scores, profile) -> Bounded:
    """P, off by A in its logarithm."""
    keys = scores.value.shape[-1]
    errors = log_weight_errors(scores, profile)
    worst = errors.max(-1, keepdims=True, initial=0)
    largest = np.abs(scores.greatest) + scores.worst
    log_sum = SINGLE_U * (4 * largest + 16 + 16 * log(max(keys, 1)))
    errors = errors + worst + log_sum
    errors = errors + log1p(denominator_growth(profile, keys))
    weights = scores.weights
    near = weights * np.expm1(np.minimum(errors, 1))
    far = np.exp(scores.log_weights + errors) - weights
    error = np.where(errors <= 1, near, far) + (keys + 1) * SINGLE_NORMAL
    error = np.where(scores.overflow[..., None], inf, error)
    return allowed(Bounded(weights, error, SINGLE), scores.mask)


def weights_in_half(weights: Bounded, profile) -> Bounded:
    """The weights that met the values."""
    return in_half(weights, profile, profile.weight_roundings)


def in_half(a: Bounded, profile, times: int, factor: float = 1) -> Bounded:
    """Rounded to half so many times, and not known where it overflows."""
    error = profile.rounded(a.value, a.error, times, factor)
    if times:
        fits = np.abs(a.value) + error <= profile.format.greatest
        error = np.where(fits, error, inf)
    return Bounded(a.value, error, a.rounding)


def softmax_backward(weights, d_weights, mean) -> Bounded:
    """P (dP - D), in whichever order; in float32."""
    weights, d_weights, mean = (
        Bounded(part.value, part.error, SINGLE)
        for part in (weights, d_weights, mean)
    )
    d_scores = weights * (d_weights - mean)
    size = d_weights.magnitude + mean.magnitude
    size = size + mean_size(weights, d_weights)
    gamma = SINGLE.gamma(weights.shape[-1] + 8)
    error = d_scores.error + gamma * weights.magnitude * size
    return Bounded(d_scores.value, error, SINGLE)


def allowed(a: Bounded, mask) -> Bounded:
    """Zeros, without an error, where a key is masked."""
    return where(mask, a, 0.0)


def scaled_first(array, profile) -> Bounded:
    """A query or key, rounded if it was scaled before the product."""
    times = min(1, SCALED_FIRST[profile.scaled_before])
    flushed = profile.lost * profile.flushes_subnormals
    error = profile.rounded(array, flushed, times)
    return Bounded(array, np.broadcast_to(error, array.shape), SINGLE)


def blocks_of(tokens: int, block: int) -> int:
    """How many partial sums there are; one where it is not in blocks."""
    return -(-tokens // block) if block else 1
