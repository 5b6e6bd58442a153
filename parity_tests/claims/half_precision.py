"""Half precision: what 8 bits do to a weight, a sum, and attention.

Each function measures and returns numbers; `study.figures.half_precision`
draws them.
"""

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from numpy_ref.attention import scaled_dot_product_attention
from numpy_ref.variants.half_precision import (
    add_in_half,
    attention_inside_float32,
    attention_rounded_within,
)

FORMATS = ("bfloat16", "float16")
TEXTS, QUERIES, KEYS, FEATURES = 16, 32, 64, 16
OFF = 1.01  # what a wrong kernel takes the scale times
ALLOWED = 1e-2  # what a test may allow: so much, and that share of a value


def half_dtype(name: str) -> np.dtype:
    """The dtype of a half precision; bfloat16 comes with ml_dtypes."""
    import ml_dtypes

    return np.dtype({"bfloat16": ml_dtypes.bfloat16}.get(name, name))


def running_sums(half: str, terms: int) -> Array:
    """Equal weights of a row, 1 / terms each, added up one by one.

    The sum after each of them: in exact arithmetic a line up to 1.
    """
    weights = np.full((terms, 1), 1 / terms).astype(half_dtype(half))
    total, sums = np.zeros_like(weights[0]), []
    for weight in weights:
        total = add_in_half(total, weight)
        sums.append(float(total[0]))
    return np.array(sums)


@dataclass(frozen=True, eq=False)
class Errors:
    """The largest error of each kernel, and by how much `allclose` is
    passed: the largest error over what it allows there."""

    once: float
    within: float
    wrong: float
    within_allowed: float
    wrong_allowed: float


def errors(size: float, half: str = "bfloat16", seed: int = 0) -> Errors:
    """Errors of attention whose scores have this standard deviation.

    Two kernels are right: one rounds its output only, one its scores and
    weights, too. The wrong one rounds its output only, and has a scale
    that is 1 % too large.
    """
    rng = np.random.default_rng(seed)
    dtype = half_dtype(half)
    query = size * rng.normal(size=(TEXTS, QUERIES, FEATURES))
    key, value = rng.normal(size=(2, TEXTS, KEYS, FEATURES)).astype(dtype)
    query, mask = query.astype(dtype), np.ones((1, QUERIES, KEYS), bool)
    wide = [array.astype(float) for array in (query, key, value)]
    exact = scaled_dot_product_attention(*wide, mask)
    scaled = scaled_dot_product_attention(OFF * wide[0], *wide[1:], mask)
    outputs = {
        "once": attention_inside_float32(query, key, value, mask),
        "within": attention_rounded_within(query, key, value, mask),
        "wrong": scaled.astype(dtype),
    }
    apart = {
        name: abs(output.astype(float) - exact)
        for name, output in outputs.items()
    }
    allowed = ALLOWED + ALLOWED * abs(exact)
    return Errors(
        **{name: float(error.max()) for name, error in apart.items()},
        within_allowed=float((apart["within"] / allowed).max()),
        wrong_allowed=float((apart["wrong"] / allowed).max()),
    )
