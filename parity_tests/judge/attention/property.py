"""What the properties of attention are made of.

A property takes an attention as a subject and an input. The subject has
the exact output, with how far one of its precision may be off (`exact`);
by that it compares what it got with the exact output (`near`), or two
outputs that should be the same (`alike`). So a property is written once,
for float64 and for bfloat16. With the identity for values, the output is
the weights.
"""

from dataclasses import replace

import numpy as np

from parity_tests.bounds.rounding import Bounded, Rounding
from parity_tests.exact import described
from parity_tests.exact.numbers import bounded
from parity_tests.judge.subject.cases import AttentionCase, beyond_a_tile
from parity_tests.judge.verdict.property import (
    Comparisons,
    Property,
    equals_exact,
    identical,
    same,
)

__all__ = ["Comparisons", "Property", "equals_exact", "identical", "same"]


def steps(subject, case: AttentionCase) -> dict:
    """Scores, weights and context with their errors."""
    rounding = subject.rounding(case.value.dtype)
    return exact_of("scaled_dot_product_attention", case.arrays, rounding)


def exact_of(
    name: str, arrays: dict, rounding: Rounding | None = None
) -> dict:
    """The exact locals of a step, each with its error; rounded as arrays
    of their precision are, if nothing else is said."""
    return described(name)(**rounded_by(rounding, arrays))


def rounded_by(rounding: Rounding | None, arrays: dict) -> dict:
    """Float arrays as exact numbers whose steps are rounded so."""
    inputs = {name: bounded(array) for name, array in arrays.items()}
    if rounding is None:
        return inputs
    return {
        name: replace(value, rounding=rounding)
        if isinstance(value, Bounded)
        else value
        for name, value in inputs.items()
    }


def error(subject, case: AttentionCase) -> np.ndarray:
    """How far a correct output may be from the exact one: T."""
    return subject.exact(case).error


def with_identity(case: AttentionCase, one_width: bool) -> AttentionCase:
    """The identity for values; keys as wide, where they must be.

    Zeros behind the features of queries and keys change no product; the
    queries make up for the root of a larger width.
    """
    keys, d_head = case.key.shape[-2:]
    dtype, query, key = case.value.dtype, case.query, case.key
    width = keys
    if one_width and keys < d_head:
        width = d_head
    if one_width and keys > d_head:
        behind = [(0, 0)] * (key.ndim - 1) + [(0, keys - d_head)]
        root = np.sqrt(np.asarray(keys / d_head, dtype))
        query, key = np.pad(query * root, behind), np.pad(key, behind)
    value = np.broadcast_to(
        np.eye(keys, width, dtype=dtype), (*key.shape[:-2], keys, width)
    )
    return replace(case, query=query, key=key, value=value.copy())


def read_weights(subject, case: AttentionCase):
    """The weights, read off with the identity for values; the case that
    reads them off, and the exact ones."""
    identity = with_identity(case, subject.limits.one_width)
    identity = held_by(subject, identity)
    keys = case.key.shape[-2]
    weights, exact = subject.of(identity), subject.exact(identity)
    return weights[..., :keys], identity, part_of(exact, np.s_[..., :keys])


def held_by(subject, case: AttentionCase) -> AttentionCase:
    """The case with the nearest numbers that the subject's format has."""
    return AttentionCase(*map(subject.held, case.qkv), case.mask, case.seed)


def beyond_tiles(subject) -> list[AttentionCase]:
    """Inputs of sizes beyond a tile, in the subject's format."""
    cases = beyond_a_tile(subject.limits)
    return [held_by(subject, case) for case in cases]


def part_of(exact, at):
    """The exact value of some of the outputs, with its error."""
    return exact.moved(lambda array: array[at])


def visible_keys(case: AttentionCase) -> np.ndarray:
    """A mask of keys: True for some, and never False for all."""
    keys = case.key.shape[-2]
    visible = case.random().uniform(size=keys) < 0.6
    visible[case.seed % keys] = True
    return visible


def contiguous(case: AttentionCase) -> AttentionCase:
    """The same case, its arrays copied into C order."""
    arrays = map(np.ascontiguousarray, case.arrays.values())
    return AttentionCase(*arrays, case.seed)


def causally(subject, case: AttentionCase) -> np.ndarray:
    """Causal attention: by a mask if it takes one, else by its own form."""
    if "random" in subject.limits.masks:
        return subject.of(case)
    return subject.causally(*case.qkv)
