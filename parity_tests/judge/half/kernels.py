"""Attention kernels in bfloat16 and float16, which round where they say.

Each is a class with a small method for each step, so that a wrong kernel
is a right one with one method replaced. Half-precision numbers travel as
float32 inside, rounded by `half` where a real kernel would store them.
"""

from dataclasses import dataclass, replace
from math import e, log2

import numpy as np

from parity_tests.bounds.half_precision import FORMATS, Profile

NOTHING_YET = -np.inf  # the maximum of no scores

# All in float32 but the output; weights rounded before they meet the
# values, as in PyTorch's fused kernel; scores rounded twice and weights
# once, as where each operation writes its result.
FLOAT32 = Profile()
FUSED = Profile(weights="rounded")
EAGER = Profile(score_roundings=2, weights="rounded", normalised=True)


def half_type(name: str) -> np.dtype:
    """NumPy's type of a format: bfloat16 is that of ml_dtypes."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


@dataclass(frozen=True, eq=False)
class Kernel:
    """What all kernels share: scores, and sums in one precision or another.

    It takes and returns arrays (batch, tokens, features) in half.
    """

    profile: Profile = FLOAT32

    def __call__(self, query, key, value, mask=None) -> np.ndarray:
        arrays = (a.astype(np.float32) for a in (query, key, value))
        with np.errstate(all="ignore"):
            context = self.attention(*arrays, mask)
            return context.astype(half_type(self.profile.dtype))

    def in_format(self, dtype: str) -> "Kernel":
        """The same kernel in another format."""
        return replace(self, profile=replace(self.profile, dtype=dtype))

    def half(self, numbers: np.ndarray) -> np.ndarray:
        """The nearest numbers of the format."""
        rounded = np.asarray(numbers, np.float32)
        rounded = rounded.astype(half_type(self.profile.dtype))
        rounded = rounded.astype(np.float32)
        if self.profile.flushes_subnormals:
            normal = np.float32(FORMATS[self.profile.dtype].normal)
            return np.where(np.abs(rounded) < normal, 0, rounded)
        return rounded

    def product(self, left, right, precision: str) -> np.ndarray:
        """Matrix product, in float32, or with each step in half."""
        if precision == "float32":
            return left @ right
        shape = *left.shape[:-1], right.shape[-1]
        total = np.zeros(shape, np.float32)
        for i in range(left.shape[-1]):
            term = left[..., i : i + 1] * right[..., i : i + 1, :]
            total = self.half(total + self.half(term))
        return total

    def total(self, weights: np.ndarray) -> np.ndarray:
        """The sum of each row's weights."""
        ones = np.ones((weights.shape[-1], 1), np.float32)
        return self.product(weights, ones, self.profile.sum_in)

    def scale(self, d_head: int) -> np.float32:
        """1 / sqrt(d)."""
        scale = np.float32(d_head**-0.5)
        return self.half(scale)[()] if self.profile.scale_rounded else scale

    def exp(self, numbers: np.ndarray) -> np.ndarray:
        return np.exp(numbers)

    def scores(self, query, key) -> np.ndarray:
        """Scaled products of queries and keys."""
        scale = self.scale(query.shape[-1])
        match self.profile.scaled_before:
            case "query":
                query, scale = self.half(query * scale), np.float32(1)
            case "key":
                key, scale = self.half(key * scale), np.float32(1)
            case "both":
                root = np.sqrt(scale)
                query, key = self.half(query * root), self.half(key * root)
                scale = np.float32(1)
        return self.scaled(self.dot(query, key), scale)

    def dot(self, query, key) -> np.ndarray:
        return self.product(query, key.mT, self.profile.scores_in)

    def scaled(self, dot: np.ndarray, scale: np.float32) -> np.ndarray:
        if self.profile.score_roundings == 2:
            dot = self.half(dot)
        scores = dot * scale
        return self.half(scores) if self.profile.score_roundings else scores

    def masked(self, scores, mask) -> np.ndarray:
        return scores if mask is None else np.where(mask, scores, -np.inf)


@dataclass(frozen=True, eq=False)
class WholeKernel(Kernel):
    """A kernel that holds all scores at once."""

    def attention(self, query, key, value, mask) -> np.ndarray:
        scores = self.masked(self.scores(query, key), mask)
        maximum = scores.max(-1, keepdims=True)
        weights = self.weights(scores, maximum)
        total = self.total(self.summed(weights))
        if self.profile.normalised:
            weights, total = self.quotient(weights, total), np.float32(1)
        if self.profile.weights == "rounded":
            weights = self.half(weights)
        return self.output(self.context(weights, value), total)

    def weights(self, scores, maximum) -> np.ndarray:
        """Before they are divided by their sum."""
        distance = scores - np.where(np.isfinite(maximum), maximum, 0)
        if self.profile.softmax == "half":
            return self.half(self.exp(self.half(distance)))
        return self.exp(distance)

    def summed(self, weights) -> np.ndarray:
        """The weights that are added up."""
        rounds = self.profile.summed == "rounded"
        return self.half(weights) if rounds else weights

    def quotient(self, weights, total) -> np.ndarray:
        share = weights / np.where(total == 0, 1, total)
        return self.half(share) if self.profile.softmax == "half" else share

    def context(self, weights, value) -> np.ndarray:
        return self.product(weights, value, self.profile.context_in)

    def output(self, context, total) -> np.ndarray:
        """The context, divided by the sum of weights."""
        if self.profile.output_roundings == 2:
            context = self.half(context)
        return context / np.where(total == 0, 1, total)


@dataclass(frozen=True, eq=False)
class RoundsTheProduct(WholeKernel):
    """The same, where it is the product that is rounded, then scaled."""

    def scaled(self, dot, scale) -> np.ndarray:
        return self.half(dot) * scale


@dataclass(frozen=True, eq=False)
class Sums:
    """What an online softmax carries from one tile of keys to the next."""

    maximum: np.ndarray
    total: np.ndarray
    context: np.ndarray


@dataclass(frozen=True, eq=False)
class TiledKernel(WholeKernel):
    """Online softmax: a few keys at a time, and sums that are rescaled.

    Where a tile brings a new maximum, the sums so far are multiplied by
    exp(old maximum - new maximum) (Milakov and Gimelshein 2018).
    """

    block: int = 64

    def attention(self, query, key, value, mask) -> np.ndarray:
        shape = *query.shape[:-1], 1
        sums = Sums(
            np.full(shape, NOTHING_YET, np.float32),
            np.zeros(shape, np.float32),
            np.zeros((*query.shape[:-1], value.shape[-1]), np.float32),
        )
        for start, end in self.tiles(key.shape[-2]):
            keys = slice(start, end)
            part = None if mask is None else mask[..., keys]
            tile = query, key[..., keys, :], self.values(value, keys), part
            sums = self.added(sums, *tile)
        return self.output(sums.context, sums.total)

    def tiles(self, keys: int) -> list[tuple[int, int]]:
        starts = range(0, keys, self.block)
        return [(start, min(start + self.block, keys)) for start in starts]

    def values(self, value, keys: slice) -> np.ndarray:
        return value[..., keys, :]

    def added(self, sums: Sums, query, key, value, mask) -> Sums:
        """The sums, with one tile more."""
        scores = self.masked(self.scores(query, key), mask)
        maximum = self.maximum(sums, scores)
        weights = self.weights(scores, maximum)
        rescale = self.rescale(sums, maximum)
        total = self.new_total(sums, rescale, weights)
        if self.profile.weights == "rounded":
            weights = self.half(weights)
        context = self.new_context(sums, rescale, weights, value)
        return Sums(maximum, total, context)

    def maximum(self, sums: Sums, scores) -> np.ndarray:
        return np.maximum(sums.maximum, scores.max(-1, keepdims=True))

    def rescale(self, sums: Sums, maximum) -> np.ndarray:
        """What the sums so far are multiplied by."""
        safe = np.where(np.isfinite(maximum), maximum, 0)
        return self.exp(sums.maximum - safe)

    def new_total(self, sums: Sums, rescale, weights) -> np.ndarray:
        total = sums.total * rescale + self.total(self.summed(weights))
        return self.half(total) if self.profile.sum_in == "half" else total

    def new_context(self, sums: Sums, rescale, weights, value):
        context = sums.context * rescale + self.context(weights, value)
        in_half = self.profile.context_in == "half"
        return self.half(context) if in_half else context


@dataclass(frozen=True, eq=False)
class BaseTwoKernel(TiledKernel):
    """The same in powers of two, as 2^x is what hardware has.

    exp(x) = 2^(x log2(e)); the factor goes into the scale.
    """

    def scale(self, d_head: int) -> np.float32:
        return np.float32(d_head**-0.5 * log2(e))

    def exp(self, numbers) -> np.ndarray:
        return np.exp2(numbers)


@dataclass(frozen=True, eq=False)
class FastExpKernel(TiledKernel):
    """The same, with a polynomial of degree 3 for exp: off by 1e-4."""

    def exp(self, numbers) -> np.ndarray:
        return exp_by_polynomial(numbers, 3)


def exp_by_polynomial(numbers, degree: int) -> np.ndarray:
    """2^whole times a polynomial of what is left, between 0 and 1."""
    power = np.maximum(numbers * np.float32(log2(e)), -200)
    whole = np.floor(power)
    nodes = (1 - np.cos(np.pi * (np.arange(33) + 0.5) / 33)) / 2
    fit = np.polynomial.Polynomial.fit(nodes, np.exp2(nodes), degree)
    bits = fit.convert().coef.astype(np.float32)
    rest = np.polynomial.polynomial.polyval(power - whole, bits)
    near = np.ldexp(rest, whole.astype(int)).astype(np.float32)
    return np.where(np.isneginf(numbers), 0, near)


# Kernels that are right, each with a profile of its own.
RIGHT_KERNELS = {
    "float32 inside": TiledKernel(FLOAT32),
    "weights rounded": TiledKernel(FUSED),
    "weights rounded, in powers of two": BaseTwoKernel(FUSED, block=128),
    "weights rounded, with a fast exp": FastExpKernel(
        replace(FUSED, exp_error=1.2e-4, rescale_error=1.2e-4), block=16
    ),
    "rounded weights summed": TiledKernel(
        replace(FUSED, summed="rounded"), block=32
    ),
    "scores and weights rounded": WholeKernel(EAGER),
    "products rounded": RoundsTheProduct(replace(EAGER, score_roundings=1)),
    "scaled in half": WholeKernel(
        replace(EAGER, score_roundings=1, scaled_before="both")
    ),
    "query scaled in half, by a rounded scale": WholeKernel(
        replace(
            EAGER,
            score_roundings=1,
            scaled_before="query",
            scale_rounded=True,
        )
    ),
    "softmax in half": WholeKernel(replace(EAGER, softmax="half")),
    "sums in half": WholeKernel(
        replace(
            EAGER,
            softmax="half",
            scores_in="half",
            sum_in="half",
            context_in="half",
        )
    ),
}
