"""Wrong kernels in bfloat16 and float16: one mistake each, and its cause.

Each is a right kernel of `kernels` with one method replaced, or one that
rounds elsewhere than the profile says that it claims. What a mistake does
may be smaller than what a right kernel of its profile may be off: then no
test of outputs can tell it, and `HIDDEN` says so, with the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import e, log2

import numpy as np

from parity_tests.bounds.half_precision import Profile

from .kernels import (
    EAGER,
    FLOAT32,
    FUSED,
    BaseTwoKernel,
    Kernel,
    TiledKernel,
    WholeKernel,
    exp_by_polynomial,
    half_type,
)


@dataclass(frozen=True)
class WrongKernel:
    """A kernel with one mistake, and the profile it claims to have."""

    cause: str
    kind: type[Kernel]
    claims: Profile
    does: Profile

    def kernel(self, dtype: str) -> Kernel:
        return self.kind(replace(self.does, dtype=dtype))

    def profile(self, dtype: str) -> Profile:
        return replace(self.claims, dtype=dtype)


WRONG_KERNELS: dict[str, WrongKernel] = {}


def mistake(
    cause: str,
    replaces: str,
    base: type[Kernel] = TiledKernel,
    claims: Profile = FUSED,
) -> Callable:
    """Enter a wrong kernel: `base` with this method in place of its own."""

    def enter(method: Callable) -> Callable:
        kind = type(method.__name__, (base,), {replaces: method})
        name = method.__name__.replace("_", " ")
        WRONG_KERNELS[name] = WrongKernel(cause, kind, claims, claims)
        return method

    return enter


def misdeclared(
    name: str,
    cause: str,
    claims: Profile,
    base: type[Kernel] = TiledKernel,
    **does,
) -> None:
    """Enter a kernel that rounds otherwise than it claims."""
    done = replace(claims, **does)
    WRONG_KERNELS[name] = WrongKernel(cause, base, claims, done)


# The scale


@mistake("scores are divided by d, not by its root", "scale")
def scale_twice(kernel, d_head):
    return np.float32(1 / d_head)


@mistake("scores are not divided by the root of d", "scale")
def scale_forgotten(kernel, d_head):
    return np.float32(1)


@mistake("the scale is 1 % too large", "scale")
def scale_off_by_a_hundredth(kernel, d_head):
    return np.float32(1.01 * d_head**-0.5)


@mistake("the scale is that of a head one wider", "scale")
def scale_of_d_plus_one(kernel, d_head):
    return np.float32((d_head + 1) ** -0.5)


@mistake("the scale is rounded to half", "scale")
def scale_rounded(kernel, d_head):
    return kernel.half(d_head**-0.5)[()]


@mistake("log2(e) is left out of 2^(x log2(e))", "scale", BaseTwoKernel)
def base_two_without_log2_e(kernel, d_head):
    return np.float32(d_head**-0.5)


@mistake("log2(e) is rounded to half", "scale", BaseTwoKernel)
def log2_e_in_half(kernel, d_head):
    return kernel.half(log2(e))[()] * np.float32(d_head**-0.5)


@mistake("the last feature takes no part in the scores", "dot")
def last_feature_dropped(kernel, query, key):
    return TiledKernel.dot(kernel, query[..., :-1], key[..., :-1])


@mistake("keys are divided by their length", "dot")
def keys_without_length(kernel, query, key):
    length = np.linalg.norm(key, axis=-1, keepdims=True)
    return TiledKernel.dot(kernel, query, key / np.maximum(length, 1e-6))


# The online softmax


@mistake("the first tile's maximum stands for all", "maximum")
def stale_maximum(kernel, sums, scores):
    first = scores.max(-1, keepdims=True)
    return np.where(np.isneginf(sums.maximum), first, sums.maximum)


@mistake("exp is taken without subtracting the maximum", "maximum")
def no_maximum(kernel, sums, scores):
    return np.zeros_like(sums.maximum)


@mistake("the sum is not rescaled where the maximum moves", "new_total")
def sum_not_rescaled(kernel, sums, rescale, weights):
    return sums.total + kernel.total(weights)


@mistake("only the sum is rescaled where the maximum moves", "new_context")
def context_not_rescaled(kernel, sums, rescale, weights, value):
    return sums.context + kernel.context(weights, value)


@mistake("small moves of the maximum rescale the sum alone", "new_context")
def small_rescale_skipped(kernel, sums, rescale, weights, value):
    kept = np.where(rescale > 0.5, np.float32(1), rescale)
    return sums.context * kept + kernel.context(weights, value)


@mistake("the output is rescaled twice, the sum once", "new_context")
def rescaled_twice(kernel, sums, rescale, weights, value):
    return sums.context * rescale**2 + kernel.context(weights, value)


@mistake("the rescaling of the output is rounded to half", "new_context")
def rescale_in_half(kernel, sums, rescale, weights, value):
    rounded = kernel.half(rescale)
    return sums.context * rounded + kernel.context(weights, value)


@mistake("the output is rescaled by a power of two alone", "new_context")
def rescale_floored(kernel, sums, rescale, weights, value):
    power = np.floor(np.log2(np.maximum(rescale, 1e-38)))
    floored = np.where(rescale > 0, np.exp2(power), 0).astype(np.float32)
    return sums.context * floored + kernel.context(weights, value)


@mistake("sums are rescaled by another maximum, a rounded one", "rescale")
def maximum_rounded_in_part(kernel, sums, maximum):
    safe = np.where(np.isfinite(maximum), kernel.half(maximum), 0)
    return kernel.exp(sums.maximum - safe)


# Tiles


@mistake("a last tile that is not full is left out", "tiles")
def tail_dropped(kernel, keys):
    tiles = TiledKernel.tiles(kernel, keys)
    full = [(a, b) for a, b in tiles if b - a == kernel.block]
    return full or tiles


@mistake("the last key is left out", "tiles")
def last_key_dropped(kernel, keys):
    return TiledKernel.tiles(kernel, max(1, keys - 1))


@mistake("the first key is left out", "tiles")
def first_key_dropped(kernel, keys):
    tiles = TiledKernel.tiles(kernel, keys)
    return [(1, tiles[0][1]), *tiles[1:]] if keys > 1 else tiles


@mistake("tiles overlap by one key, which counts twice", "tiles")
def tiles_overlap(kernel, keys):
    return [(max(0, a - 1), b) for a, b in TiledKernel.tiles(kernel, keys)]


@mistake("values of a tile are those of one key before", "values")
def values_off_by_one(kernel, value, keys):
    start = keys.start - 1
    if start < 0:
        return value[..., keys, :]
    return value[..., start : keys.stop - 1, :]


@mistake("the second half of each later tile's values is skipped", "values")
def half_a_value_tile_skipped(kernel, value, keys):
    tile = value[..., keys, :].copy()
    if keys.start:
        tile[..., (keys.stop - keys.start) // 2 :, :] = 0
    return tile


@mistake("scores of 0 that pad the last tile are in the sum", "added")
def padding_in_the_sum(kernel, sums, query, key, value, mask):
    added = TiledKernel.added(kernel, sums, query, key, value, mask)
    missing = np.float32(kernel.block - key.shape[-2])
    padded = added.total + missing * kernel.exp(-added.maximum)
    return replace(added, total=padded)


# Masks


@mistake("a tile's first key is seen one query too early", "added")
def causal_off_at_an_edge(kernel, sums, query, key, value, mask):
    if mask is not None and sums.total.any():
        mask = mask.copy()
        mask[..., :-1, 0] |= mask[..., 1:, 0]
    return TiledKernel.added(kernel, sums, query, key, value, mask)


@mistake("a tile is skipped if its first key is masked", "masked")
def tile_skipped_by_its_first_key(kernel, scores, mask):
    if mask is None:
        return scores
    return np.where(mask & mask[..., :1], scores, -np.inf)


@mistake("the mask is not applied", "masked")
def mask_ignored(kernel, scores, mask):
    return scores


@mistake("masked scores become -10,000: others may be lower", "masked")
def mask_of_minus_10000(kernel, scores, mask):
    if mask is None:
        return scores
    return np.where(mask, scores, np.float32(-1e4))


@mistake("10 is subtracted from masked scores", "masked")
def mask_of_minus_10(kernel, scores, mask):
    return scores if mask is None else np.where(mask, scores, scores - 10)


@mistake("-65,504 is added to masked scores, in half", "masked")
def mask_overflows(kernel, scores, mask):
    if mask is None:
        return scores
    least = np.float32(-65504.0)
    return kernel.half(scores + np.where(mask, np.float32(0), least))


# What is rounded beside what is claimed

misdeclared(
    "undeclared softmax in half",
    "the softmax is computed in half, not in float32",
    FLOAT32,
    softmax="half",
)
misdeclared(
    "undeclared rounding of scores",
    "scores are rounded, where they are said to stay in float32",
    FUSED,
    score_roundings=1,
)
misdeclared(
    "undeclared scaling in half",
    "the scaled query is rounded, where nothing is said to be",
    FUSED,
    scaled_before="query",
)
misdeclared(
    "scores accumulated in half",
    "products of query and key are added up in half",
    EAGER,
    WholeKernel,
    scores_in="half",
)
misdeclared(
    "undeclared rounding of weights",
    "weights are rounded, where they are said to stay in float32",
    FLOAT32,
    weights="rounded",
)
misdeclared(
    "other weights summed",
    "the rounded weights are summed, the unrounded ones are said to be",
    FUSED,
    summed="rounded",
)
misdeclared(
    "sum in half",
    "the weights are added up in half",
    FUSED,
    sum_in="half",
)
misdeclared(
    "context in half",
    "products of weights and values are added up in half",
    FUSED,
    context_in="half",
)


@mistake("the output is rounded to half after each tile", "new_context")
def context_rounded_between_tiles(kernel, sums, rescale, weights, value):
    parts = sums, rescale, weights, value
    return kernel.half(TiledKernel.new_context(kernel, *parts))


@mistake("the sum is rounded to half after each tile", "new_total")
def sum_rounded_between_tiles(kernel, sums, rescale, weights):
    total = TiledKernel.new_total(kernel, sums, rescale, weights)
    return kernel.half(total)


@mistake("the sum is multiplied by as 1 / sum, rounded to half", "output")
def reciprocal_in_half(kernel, context, total):
    return context * kernel.half(1 / np.where(total == 0, np.inf, total))


def to_bits(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Rounded to so many significant bits."""
    fraction, exponent = np.frexp(numbers)
    kept = np.round(np.ldexp(fraction, bits))
    return np.ldexp(kept, exponent - bits).astype(np.float32)


@mistake("weights have 4 bits, those of an 8-bit float", "context")
def weights_in_float8(kernel, weights, value):
    return TiledKernel.context(kernel, to_bits(weights, 4), value)


@mistake("values have 4 bits, those of an 8-bit float", "values")
def values_in_float8(kernel, value, keys):
    return to_bits(value[..., keys, :], 4)


@mistake("keys are integers of 8 bits times a number for each text", "dot")
def keys_in_int8(kernel, query, key):
    step = np.maximum(np.abs(key).max((-1, -2), keepdims=True), 1e-30) / 127
    return TiledKernel.dot(kernel, query, np.round(key / step) * step)


@mistake("weights are cut off, not rounded", "half")
def cut_off(kernel, numbers):
    """All that is rounded inside: in FUSED, the weights alone."""
    bits = 8 if kernel.profile.dtype == "bfloat16" else 11
    fraction, exponent = np.frexp(np.asarray(numbers, np.float32))
    kept = np.trunc(np.ldexp(fraction, bits))
    return np.ldexp(kept, exponent - bits).astype(np.float32)


@mistake("the output is cut off, not rounded", "output", claims=FLOAT32)
def output_cut_off(kernel, context, total):
    return cut_off(kernel, TiledKernel.output(kernel, context, total))


@mistake("weights are rounded twice, once with two bits fewer", "context")
def weights_rounded_twice(kernel, weights, value):
    bits = 6 if kernel.profile.dtype == "bfloat16" else 9
    return TiledKernel.context(kernel, to_bits(weights, bits), value)


@mistake(
    "the output is rounded to fewer bits first", "output", claims=FLOAT32
)
def output_through_less(kernel, context, total):
    output = TiledKernel.output(kernel, context, total)
    if kernel.profile.dtype == "bfloat16":
        return to_bits(output, 7)
    return output.astype(half_type("bfloat16")).astype(np.float32)


# exp


@mistake("exp is a polynomial of degree 2", "exp", claims=FLOAT32)
def exp_of_degree_two(kernel, numbers):
    return exp_by_polynomial(numbers, 2)


@mistake("exp is the straight line between powers of two", "exp")
def exp_of_degree_one(kernel, numbers):
    return exp_by_polynomial(numbers, 1)


@mistake("exp is 0 below -8, as if nothing were left", "exp")
def exp_cut_at_eight(kernel, numbers):
    return np.where(numbers < -8, np.float32(0), np.exp(numbers))


@mistake("weights below a thousandth are left out", "context")
def small_weights_skipped(kernel, weights, value):
    kept = np.where(weights < 1e-3, np.float32(0), weights)
    return TiledKernel.context(kernel, kept, value)


# Another output altogether


@mistake("a thousandth is added to the output", "output")
def a_thousandth_more(kernel, context, total):
    return TiledKernel.output(kernel, context, total) * np.float32(1.001)


@mistake("one hundredth is added to the output", "output")
def a_hundredth_more(kernel, context, total):
    return TiledKernel.output(kernel, context, total) * np.float32(1.01)


@mistake("the output is the mean of all values", "exp")
def mean_of_values(kernel, numbers):
    return np.ones_like(numbers)


@mistake("the output is the value of the strongest key", "weights")
def strongest_value(kernel, scores, maximum):
    return (scores == maximum).astype(np.float32)


@mistake("the first two queries are swapped", "output")
def two_queries_swapped(kernel, context, total):
    output = TiledKernel.output(kernel, context, total)
    if output.shape[-2] > 1:
        output[..., [0, 1], :] = output[..., [1, 0], :]
    return output


@mistake("all texts see the keys of the first", "dot")
def keys_of_the_first_text(kernel, query, key):
    first = np.broadcast_to(key[:1], key.shape)
    return TiledKernel.dot(kernel, query, first)


@mistake("the first two features of the output are swapped", "output")
def two_features_swapped(kernel, context, total):
    output = TiledKernel.output(kernel, context, total)
    output[..., [0, 1]] = output[..., [1, 0]]
    return output


@mistake("eps of 1e-3 is added to the sum", "output")
def eps_in_the_sum(kernel, context, total):
    return TiledKernel.output(kernel, context, total + np.float32(1e-3))


# Those whose mistake is no larger than what a right kernel of the profile
# that they claim may be off, on 250 inputs: what they are hidden under.
ONE_ROUNDING = "one rounding more, where each weight's may be as large"
BELOW_ONE = "less than one rounding of the output"
HIDDEN = {
    "bfloat16": {
        "scale rounded": "scores move by a thousandth, where d is 48",
        "rescale in half": ONE_ROUNDING,
        "other weights summed": ONE_ROUNDING,
        "reciprocal in half": ONE_ROUNDING,
        "a thousandth more": BELOW_ONE,
        "eps in the sum": BELOW_ONE,
    },
    "float16": {
        "rescale in half": ONE_ROUNDING,
        "other weights summed": ONE_ROUNDING,
        "reciprocal in half": ONE_ROUNDING,
    },
}
