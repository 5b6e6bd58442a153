"""Checks of weights that come as arrays: their rows, and their origin.

Rows sum to 1, and where queries and keys are passed, the weights follow
from them. How far off either may be is computed from the rounding of the
numbers themselves; sums and products are taken to be accumulated in
float32 or wider, as libraries do even for halves.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray as Array

from numpy_ref.attention import masked_softmax


class Format(NamedTuple):
    """A floating-point format: its roundoff, and that of its smallest."""

    name: str
    roundoff: float
    underflow: float


BFLOAT16 = Format("bfloat16", 2.0**-8, 2.0**-134)
FLOAT16 = Format("float16", 2.0**-11, 2.0**-25)
FLOAT32 = Format("float32", 2.0**-24, 2.0**-150)
STORED = 3  # roundings of a weight: the sum, the division, and storing it
EXPONENTIAL = 4  # roundings of an exponential


def narrowest(numbers: Float[Array, "..."]) -> Format:
    """The narrowest format that holds these numbers exactly.

    A half that was widened keeps the rounding of a half. What no half
    holds is judged as float32, which some of its steps may have been.
    """
    single = numbers.astype(np.float32)
    if single.dtype != numbers.dtype and (single != numbers).any():
        return FLOAT32
    if not (single.view(np.uint32) & 0xFFFF).any():
        return BFLOAT16  # the upper half of a float32
    with np.errstate(over="ignore"):
        is_half = (single.astype(np.float16) == single).all()
    return FLOAT16 if is_half else FLOAT32


def gamma(roundings: int, roundoff: float = FLOAT32.roundoff) -> float:
    """The relative error of so many roundings. (Higham 2002, lemma 3.1)"""
    return roundings * roundoff / (1 - roundings * roundoff)


def check_rows(weights: Float[Array, "layer head query key"]) -> None:
    """Raise ValueError unless each row is a distribution."""
    sums = weights.sum(axis=-1, dtype=np.float64)
    keys = weights.shape[-1]
    kind = narrowest(weights)
    rounded = gamma(STORED, kind.roundoff) + keys * kind.underflow
    bound = rounded + gamma(keys)
    wrong = ~(abs(sums - 1) <= bound) | (weights < 0).any(axis=-1)
    if wrong.any():
        layer, head, query = np.argwhere(wrong)[0]
        row = weights[layer, head, query]
        raise ValueError(
            "expected rows of non-negative weights that sum to 1 within "
            f"{bound:.1g}, the rounding of {kind.name}, got a "
            f"sum of {row.sum():.6g} and a minimum of {row.min():.3g} in "
            f"layer {layer}, head {head}, query {query}; wrong rows: "
            f"{wrong.sum()}{reason_for(weights, sums)}"
        )


def reason_for(weights: Array, sums: Array) -> str:
    """What probably made such rows, and how to mend it, or nothing."""
    if not np.isfinite(sums).all() or (weights < 0).any():
        return ""
    if (sums > 1 + gamma(STORED, BFLOAT16.roundoff)).any():
        return (
            "; if dropout was on, call model.eval() before the model reads"
        )
    return ""


def check_scores(
    weights: Float[Array, "layer head query key"],
    queries: Float[Array, "layer head query d_head"],
    keys: Float[Array, "layer head key d_head"],
    mask: Bool[Array, "query key"],
) -> None:
    """Raise ValueError unless weights follow from queries and keys."""
    kinds = map(narrowest, (weights, queries, keys))
    coarsest = max(kinds, key=lambda kind: kind.roundoff)
    for layer, arrays in enumerate(
        zip(weights, queries, keys, strict=True)
    ):
        check_layer(layer, *arrays, mask, coarsest)


def check_layer(
    layer: int,
    weights: Float[Array, "head query key"],
    queries: Float[Array, "head query d_head"],
    keys: Float[Array, "head key d_head"],
    mask: Bool[Array, "query key"],
    kind: Format,
) -> None:
    """Raise ValueError unless a layer's weights follow from its scores.

    An error of a score is one of its exponential's logarithm, and moves
    the sum of the row as well: hence twice the largest in the row.
    """
    query, key = queries.astype(np.float64), keys.astype(np.float64)
    d_head = query.shape[-1]
    scores = query @ key.swapaxes(-2, -1) / sqrt(d_head)
    sizes = abs(query) @ abs(key).swapaxes(-2, -1) / sqrt(d_head)
    off = gamma(d_head) * sizes + gamma(STORED, kind.roundoff) * abs(scores)
    largest = np.where(mask, off, 0).max(axis=-1, keepdims=True)
    rounded = gamma(STORED, kind.roundoff)
    summed = gamma(weights.shape[-1] + 2 * EXPONENTIAL)
    expected = masked_softmax(scores, mask)
    # Beyond this every weight is within the bound; and no overflow.
    relative = np.expm1(np.minimum(2 * largest + rounded + summed, 99))
    difference = abs(weights - expected)
    wrong = ~(difference <= expected * relative + kind.underflow)
    if wrong.any():
        where = np.where(wrong, difference, -1).argmax()
        head, query, key = np.unravel_index(where, wrong.shape)
        masked = "" if mask.all() else " with its mask"
        raise ValueError(
            "expected weights that follow from queries and keys, "
            f"softmax(QKᵀ/√d){masked}, got {weights[head, query, key]:.6g} "
            f"instead of {expected[head, query, key]:.6g}, the largest "
            f"difference of this layer, in layer {layer}, head {head}, "
            f"query {query}, key {key}; pass queries and keys as they are "
            "multiplied, after rotary positions and before scaling"
        )
