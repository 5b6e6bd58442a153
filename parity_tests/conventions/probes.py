"""Probes of scale, grouping and causal masks, beside those of the judge.

Each reads a convention off the output for a small input: the scale from
the weights of two keys, the grouping from values that name their head,
and what a query sees from values that name their key.
"""

from collections.abc import Callable
from functools import partial
from math import exp

import numpy as np

from parity_tests.judge.attention.calling import Caller
from parity_tests.judge.attention.conventions import (
    FIRST,
    LAST,
    NOT_TESTED,
)
from parity_tests.judge.attention.function import AttentionFunction
from parity_tests.judge.verdict.protocol import (
    FAILED_TRIAL,
    Raised,
    attempt,
)

UPPER_LEFT, LOWER_RIGHT = "upper left", "lower right"
ALIGNMENTS = {FIRST: UPPER_LEFT, LAST: LOWER_RIGHT}
NOT_TAKEN = "not taken"
SCALES: dict[str, Callable[[int], float]] = {
    "1/√d_head": lambda d_head: d_head**-0.5,
    "1/d_head": lambda d_head: 1 / d_head,
    "1": lambda d_head: 1.0,
}
GROUPINGS = {
    (1, 1, 2, 2): "neighbours share a key head",
    (1, 2, 1, 2): "key heads are tiled",
}
TOLERANCE = 1e-5  # to tell one convention from another, no more


def scale_of(subject: AttentionFunction, without_scale=None) -> str:
    """By what scores are multiplied, and whether that may be chosen.

    `without_scale` calls the library without one, where the adapter has
    to give it.
    """
    query, key, value = two_keys(subject, 4)
    if without_scale and attempt(without_scale, query, key, value) is None:
        return "must be given"
    calling = subject.caller.calling
    named = calling.roles.scale
    fixed = {n: v for n, v in calling.fixed.items() if n != named}
    attend = subject.caller.changed(fixed=fixed)  # its own scale
    weights_at = partial(is_scaled_by, attend, subject)
    default = next(
        (
            name
            for name, scale in SCALES.items()
            if all(weights_at(d, scale(d)) for d in (4, 9))
        ),
        "something else",
    )
    if named is not None and weights_at(4, 0.3, scale=0.3):
        return f"{default}, or as given"
    return default


def is_scaled_by(
    attend: Caller,
    subject: AttentionFunction,
    d_head: int,
    expected: float,
    **options,
) -> bool:
    """Whether the weights of scores 0 and 1 are those of this scale."""
    context = attempt(attend, *two_keys(subject, d_head), **options)
    second = 1 / (1 + exp(-expected))
    return context is not None and np.allclose(
        context, second, rtol=0, atol=TOLERANCE
    )


def two_keys(subject: AttentionFunction, d_head: int) -> list[np.ndarray]:
    """Two keys with the scores 0 and 1, whose values are 0 and 1."""
    batch, dtype = (
        (1,) * subject.limits.batch_axes[-1],
        subject.limits.dtypes,
    )
    query, key, value = np.zeros((3, *batch, 2, d_head), dtype[-1])
    query[..., 0] = key[..., 1, 0] = value[..., 1, :] = 1
    return [query, key, value]


def grouping_of(subject: AttentionFunction) -> str:
    """Which heads of queries share a head of keys: four beside two."""
    if 2 not in subject.limits.batch_axes:
        return NOT_TESTED
    query = np.zeros((1, 4, 3, 2), subject.limits.dtypes[-1])
    key, value = np.zeros((2, 1, 2, 3, 2), query.dtype)
    value[0, 0], value[0, 1] = 1, 2
    try:
        context = subject(query, key, value)
    except FAILED_TRIAL:
        return NOT_TAKEN
    heads = tuple(context[0, :, 0, 0].round().astype(int).tolist())
    return GROUPINGS.get(heads, "something else")


# --- causal masks --------------------------------------------------------


def alignment_of(subject: AttentionFunction) -> str:
    """How a causal mask lies when there are fewer queries than keys.

    A single query, as in decoding, may be an exception: it is asked, too.
    """
    detected = subject.conventions.alignment
    aligned = ALIGNMENTS.get(detected, detected)
    if aligned != UPPER_LEFT:
        return aligned
    row = attempt(causal_weights, subject, 1, 3)
    is_exception = row is not None and (row > 0).all()
    return f"{aligned}, but one query sees all" if is_exception else aligned


def causal_and_mask_of(subject: AttentionFunction) -> str:
    """Which of two masks holds: the causal one, or one without key 1.

    Values as wide as keys, and wider ones, may go two ways in a library.
    """
    if not subject.mask or not subject.caller.calling.roles.causal:
        return NOT_TESTED
    wider = (0,) if subject.limits.one_width else (0, 1)
    return " or ".join(dict.fromkeys(who_holds(subject, w) for w in wider))


def who_holds(subject: AttentionFunction, wider: int) -> str:
    mask, causal = np.ones((4, 4), bool), np.tri(4, dtype=bool)
    mask[:, 1] = False
    try:
        weights = causal_weights(subject, 4, 4, mask, wider)
    except Raised as error:
        return f"raises {error.error['type']}"
    except FAILED_TRIAL:
        return NOT_TESTED
    if np.isnan(weights).any():
        return "NaN"
    for name, expected in (
        ("both hold", causal & mask),
        ("the mask alone holds", mask),
        ("the causal one alone holds", causal),
    ):
        if np.array_equal(weights > 0, expected):
            return name
    return "something else"


def causal_weights(
    subject: AttentionFunction,
    queries: int,
    keys: int,
    mask: np.ndarray | None = None,
    wider: int = 0,
) -> np.ndarray:
    """The weights of the causal form where all scores are 0, read off
    from values that are one-hot."""
    batch = (1,) * subject.limits.batch_axes[-1]
    shapes = (queries, keys), (keys, keys), (keys, keys + wider)
    query, key, value = (
        np.zeros((*batch, *shape), subject.limits.dtypes[-1])
        for shape in shapes
    )
    value[..., np.arange(keys), np.arange(keys)] = 1
    context = subject.causally(query, key, value, mask)
    return context.reshape(queries, -1)[:, :keys]
