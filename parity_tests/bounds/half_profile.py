"""Profile of a kernel in bfloat16 or float16: where it rounds."""

from dataclasses import dataclass, replace
from itertools import product
from math import expm1, frexp, inf, ldexp, log1p

import numpy as np

from .rounding import Rounding

DOUBLE = Rounding.of(np.float64)
SINGLE_U = 2.0**-24 * (1 + 2.0**-20)  # and float64's own roundings


@dataclass(frozen=True)
class HalfFormat:
    """A 16-bit float format: its unit roundoff and the range it covers.

    `u` is half the distance from 1 to the next number; `smallest` is the
    smallest subnormal number, `normal` the smallest normal one, and
    `greatest` the largest finite one.
    """

    name: str
    u: float
    smallest: float
    normal: float
    greatest: float


FORMATS = {
    "bfloat16": HalfFormat(
        "bfloat16",
        u=2.0**-8,
        smallest=2.0**-133,
        normal=2.0**-126,
        greatest=(2 - 2.0**-7) * 2.0**127,
    ),
    "float16": HalfFormat(
        "float16",
        u=2.0**-11,
        smallest=2.0**-24,
        normal=2.0**-14,
        greatest=65504.0,
    ),
}


@dataclass(frozen=True)
class Profile:
    """Where an attention kernel rounds to its 16-bit format.

    All else is computed in float32, or better.

    `dtype`: the format of query, key, value and output.
    `scaled_before`: "query", "key" or "both" are multiplied by the scale
    (each by its root, if both) and rounded, before their product is taken.
    `scale_rounded`: the scale is the half number next to 1 / sqrt(d);
    "either" leaves it open.
    `score_roundings`: how often a score is rounded: never; once, as a
    product or after it was scaled; twice, as both.
    `softmax`: "half" if the distance from the maximum, its exponential and
    the quotient are each rounded, "float32" if none of them is.
    `weights`: whether they are "rounded" before they meet the values;
    "either" leaves it open.
    `normalised`: whether they are divided by their sum before that.
    `summed`: which weights the sum is taken of, where weights are rounded
    before they are normalised.
    `scores_in`, `sum_in`, `context_in`: the precision in which products
    of query and key, the weights, and products of weights and values are
    added up: "float32" or "half".
    `output_roundings`: how often the output is rounded.
    `exp_error`: how far exp is off, relative to itself.
    `rescale_error`: how far the exp is off that rescales the sums where
    the running maximum of an online softmax moves.
    `smallest_block`: an online softmax takes no fewer keys at a time.
    `flushes_subnormals`: subnormal numbers may become 0.
    """

    dtype: str = "bfloat16"
    scaled_before: str = "nothing"
    scale_rounded: bool | str = False
    score_roundings: int = 0
    softmax: str = "float32"
    weights: str = "unrounded"
    normalised: bool = False
    summed: str = "unrounded"
    scores_in: str = "float32"
    sum_in: str = "float32"
    context_in: str = "float32"
    output_roundings: int = 1
    exp_error: float = 2.0**-20
    rescale_error: float = 2.0**-21
    smallest_block: int = 16
    flushes_subnormals: bool = False

    @property
    def format(self) -> HalfFormat:
        """The 16-bit format itself."""
        return FORMATS[self.dtype]

    @property
    def u(self) -> float:
        """The format's unit roundoff."""
        return self.format.u

    @property
    def lost(self) -> float:
        """What one rounding may lose that underflows."""
        if self.flushes_subnormals:
            return self.format.normal
        return self.format.smallest / 2

    @property
    def sums_rounded(self) -> bool:
        """Whether the weights that are summed are those that are used."""
        divided_first = self.normalised or self.all_in_half
        rounded = self.weights == self.summed == "rounded"
        return rounded and not divided_first

    @property
    def all_in_half(self) -> bool:
        """Whether each step of the softmax is rounded."""
        return self.softmax == "half"

    @property
    def weight_roundings(self) -> int:
        """How often a weight is rounded, its exponential included."""
        if self.all_in_half:
            return 2
        return int(self.weights == "rounded")

    def unit(self, precision: str) -> float:
        """The unit roundoff of a sum in "float32" or "half"."""
        return self.u if precision == "half" else SINGLE_U

    def blocks(self, keys: int) -> int:
        """The most blocks that so many keys are taken in."""
        return -(-keys // self.smallest_block)

    def summands(self, keys: int) -> int:
        """Roundings of a sum over keys, rescaled block by block."""
        return keys + 2 * self.blocks(keys) + 2

    def nearest(self, number: float) -> float:
        """The half number next to one that is not subnormal."""
        mantissa, exponent = frexp(number)
        steps = 1 / self.u
        return ldexp(round(mantissa * steps) / steps, exponent)

    def choices(self) -> list["Profile"]:
        """A profile for each choice that "either" leaves open."""
        both = ("rounded", "unrounded")
        weights = both if self.weights == "either" else (self.weights,)
        summed = both if self.summed == "either" else (self.summed,)
        scale = self.scale_rounded
        scales = (False, True) if scale == "either" else (scale,)
        return [
            replace(self, weights=one, summed=other, scale_rounded=rounded)
            for one, other, rounded in product(weights, summed, scales)
        ]

    def rounded(self, value, error, times: int, factor: float = 1):
        """The error of a number that is rounded to half, so many times.

        What underflows may be multiplied by a `factor` afterwards.
        """
        growth = grown(times, self.u)
        lost = times * self.lost * max(1, abs(factor))
        return error + growth * (np.abs(value) + error) + lost


@dataclass(frozen=True, eq=False)
class HalfBound:
    """Exact numbers, and how far a kernel of a profile may be off.

    `value` is exact (in float64), and no kernel is further away than
    `error`, which is infinite where nothing is known. Why it is:
    `overflow`, where a number inside, or the result, may leave the format;
    `accumulation`, if so many numbers are added up in half precision that
    nothing is left of the sum. `statistical`: the error is none that no
    kernel passes, but one that few do (`half_statistics.py`).
    """

    value: np.ndarray
    error: np.ndarray
    overflow: np.ndarray
    accumulation: bool = False
    statistical: bool = False

    def moved(self, move) -> "HalfBound":
        """The same numbers elsewhere."""
        return replace(
            self,
            value=move(self.value),
            error=move(self.error),
            overflow=move(self.overflow),
        )

    def total(self) -> "HalfBound":
        """The sum over the last axis, made in float64."""
        largest = np.abs(self.value) + self.error
        error = self.error + DOUBLE.gamma(self.value.shape[-1]) * largest
        return HalfBound(
            self.value.sum(axis=-1, keepdims=True),
            error.sum(axis=-1, keepdims=True),
            self.overflow.any(axis=-1, keepdims=True),
            self.accumulation,
            self.statistical,
        )


def grown(roundings: int, u: float) -> float:
    """g: (1 + u)^k - 1, what k roundings in a row are off by."""
    return expm1(roundings * log1p(u))


def shrunk(roundings: int, u: float) -> float:
    """h: (1 - u)^-k - 1, what is divided by such a number is off by."""
    return expm1(-roundings * log1p(-u))


def widest(bounds: list[HalfBound]) -> HalfBound:
    """One bound that holds whichever of several does: around the value of
    the first, from which another scale gives another one."""
    value = bounds[0].value
    errors = [bound.error + abs(bound.value - value) for bound in bounds]
    return HalfBound(
        value,
        np.maximum.reduce(errors),
        np.logical_or.reduce([bound.overflow for bound in bounds]),
        any(bound.accumulation for bound in bounds),
        any(bound.statistical for bound in bounds),
    )


def nothing_known(value: np.ndarray) -> HalfBound:
    """The bound where sums are too long for the format they are in."""
    return HalfBound(
        value, np.full(value.shape, inf), np.zeros(value.shape, bool), True
    )
