"""Attention in bfloat16 and float16: how far it may be from exact."""

from dataclasses import dataclass

import numpy as np


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
    `scale_rounded`: the scale is the half number next to 1 / sqrt(d).
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
    scale_rounded: bool = False
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


@dataclass(frozen=True, eq=False)
class HalfBound:
    """Exact numbers, and how far a kernel of a profile may be off.

    `value` is exact (in float64), and no kernel is further away than
    `error`, which is infinite where nothing is known. Why it is:
    `overflow`, where a number inside, or the result, may leave the format;
    `accumulation`, if so many numbers are added up in half precision that
    nothing is left of the sum.
    """

    value: np.ndarray
    error: np.ndarray
    overflow: np.ndarray
    accumulation: bool = False
