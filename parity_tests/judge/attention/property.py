"""A property of attention, and what properties are made of.

A property takes a `Subject` and an input, and yields comparisons of what
it got with what it expected, each with a bound on how far two correct
evaluations can be apart (`bounds`). Its docstring is the claim that a
reader sees when it fails. With the identity for values, the output is the
weights.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from parity_tests.exact import exact_steps
from parity_tests.judge.subject.cases import AttentionCase
from parity_tests.judge.subject.protocol import Subject
from parity_tests.twins.comparing import Comparison, within

Comparisons = Iterator[Comparison]
SIDES = ("got", "expected")


@dataclass(frozen=True)
class Property:
    """A claim, and how it is checked.

    `needs` names what a subject must offer: "masks" of any kind, a
    "causal" form of its own, "no mask" at all, "gradients", "two dtypes".
    """

    check: Callable[[Subject, AttentionCase], Comparisons]
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.check.__name__

    @property
    def claim(self) -> str:
        """The docstring in one line."""
        return " ".join(self.check.__doc__.split("\n\n")[0].split())


PROPERTIES: list[Property] = []


def judged(*needs: str):
    """Put a property on the list."""

    def put(check):
        PROPERTIES.append(Property(check, needs))
        return check

    return put


def steps(case: AttentionCase) -> dict:
    """Scores, weights and context with their errors."""
    return exact_steps("scaled_dot_product_attention", case.arrays)


def error(case: AttentionCase) -> np.ndarray:
    """How far a correct output may be from the exact one: T."""
    return steps(case)["context"].error


def same(path: str, got, expected, bound) -> Comparison:
    return replace(within(path, got, expected, bound), sides=SIDES)


def identical(path: str, got, expected) -> Comparison:
    """Bit for bit, but for the sign of a zero."""
    return same(path, got, expected, np.zeros(np.shape(got)))


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


def read_weights(subject: Subject, case: AttentionCase):
    """The weights, read off with the identity for values; the case that
    reads them off, and their error."""
    identity = with_identity(case, subject.conventions.limits.one_width)
    keys = case.key.shape[-2]
    weights = subject.of(identity)[..., :keys]
    return weights, identity, error(identity)[..., :keys]


def visible_keys(case: AttentionCase) -> np.ndarray:
    """A mask of keys: True for some, and never False for all."""
    keys = case.key.shape[-2]
    visible = case.random().uniform(size=keys) < 0.6
    visible[case.seed % keys] = True
    return visible


def contiguous(case: AttentionCase) -> AttentionCase:
    """The same case, its arrays copied into C order."""
    return AttentionCase(
        **{n: np.ascontiguousarray(a) for n, a in case.arrays.items()},
        seed=case.seed,
    )


def causally(subject: Subject, case: AttentionCase) -> np.ndarray:
    """Causal attention: by a mask if it takes one, else by its own form."""
    if subject.conventions.takes_masks:
        return subject.of(case)
    return subject.causally(case.query, case.key, case.value)
