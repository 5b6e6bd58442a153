"""Probes: the inputs on which an attention is compared with mutants."""

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt

import numpy as np

from parity_tests.judge.mutants.attention_parts import Probe
from parity_tests.judge.subject.cases import (
    AttentionCase,
    Range,
    beyond_a_tile,
    normal_arrays,
)
from parity_tests.judge.subject.forms import LENGTHS

from .conventions import LAST, trial_mask

KEYS, D_HEAD, D_VALUE = 5, 3, 2  # none is its own root


def probes(subject) -> list[list[Probe]]:
    """Stages of probes: of plain numbers, of large ones, and of sizes
    beyond a tile."""
    plain = [*of_sizes(subject, PLAIN), *grouped_probe(subject)]
    return [plain, list(of_sizes(subject, LOUD)), large_probes(subject)]


# How large queries are, and how many of them.
PLAIN, LOUD = ((1.5, 4),), ((30.0, KEYS), (3e3, KEYS))


def of_sizes(subject, sizes) -> Iterator[Probe]:
    """Plain, masked and causal probes; where they are loud, also some of
    large scores."""
    random = np.random.default_rng(7)
    for size, queries in sizes:
        query, key, value = arrays_of(subject.limits, queries, random)
        yield from variations((query * size, key, value), subject)
    for level in (5e2, 5e3, 5e4) if sizes is LOUD else ():
        low = query.copy(), key.copy(), value
        low[0][..., 0], low[1][..., 0] = level / 10, -10 * sqrt(D_HEAD)
        yield from masked(low, subject)
        high = low[0], key.copy(), value
        high[1][..., 1, 0] = 10 * sqrt(D_HEAD)
        yield from masked(high, subject)


def arrays_of(
    limits: Range, queries: int, random: np.random.Generator
) -> list[np.ndarray]:
    """Query, key and value within the limits."""
    batch = (2, 3)[: limits.batch_axes[-1]]
    queries = KEYS if limits.square else queries
    d_value = D_HEAD if limits.one_width else D_VALUE
    sizes = queries, KEYS, D_HEAD, d_value
    return normal_arrays(random, batch, sizes, limits.dtypes[-1])


def of_two_masks(subject) -> Iterator[Probe]:
    """Two masks at once, where the subject takes two."""
    if not subject.two_masks:
        return
    limits = replace(subject.limits, batch_axes=subject.axes_of_both)
    for seed in (1, 2):
        random = np.random.default_rng(seed)
        arrays = arrays_of(limits, 4, random)
        case = AttentionCase(*arrays, np.array(True), seed)
        first, second = subject.random_masks(case).values()
        yield Probe(*arrays, first, second_mask=second)


def grouped_probe(subject) -> Iterator[Probe]:
    """Four heads of queries beside two of keys, where that is taken."""
    if not subject.takes_fewer_key_heads:
        return
    random, dtype = np.random.default_rng(8), subject.limits.dtypes[-1]
    query = random.normal(size=(2, 4, KEYS, D_HEAD)).astype(dtype)
    key, value = random.normal(size=(2, 2, 2, KEYS, D_HEAD)).astype(dtype)
    yield Probe(query, key, value)


def large_probes(subject) -> list[Probe]:
    """Sizes beyond a tile, without a mask."""
    is_causal = subject.conventions.causal == "always"
    return [
        Probe(case.query, case.key, case.value, causal=is_causal)
        for case in beyond_a_tile(subject.limits)
    ]


def variations(arrays, subject) -> Iterator[Probe]:
    """The same arrays without a mask, with masks, and causally."""
    conventions = subject.conventions
    if conventions.causal == "always":
        yield Probe(*arrays, causal=True)
        if conventions.alignment == LAST:
            query, *others = arrays
            past = KEYS - 2  # of five keys, two are the queries' own
            yield Probe(query[..., :2, :], *others, causal=True, past=past)
        return
    yield Probe(*arrays)
    holes = list(masked(arrays, subject))
    yield from holes
    if conventions.causal == "none":
        return
    if arrays[0].shape[-2] == KEYS:
        yield Probe(*arrays, causal=True)
        if conventions.causal_and_mask == "both at once":
            yield from (replace(probe, causal=True) for probe in holes)
    elif conventions.alignment == LAST:
        past = KEYS - arrays[0].shape[-2]
        yield Probe(*arrays, causal=True, past=past)


def masked(arrays, subject) -> Iterator[Probe]:
    """The same arrays with a mask that has holes, and with padding; with
    a length, where that is what is taken."""
    shape = arrays[0].shape[-2], KEYS
    if subject.limits.mask_axes == LENGTHS:
        yield Probe(*arrays, trial_mask(shape, LENGTHS))
    if "random" not in subject.limits.masks:
        return
    holes = np.ones(shape, bool)
    holes[0, 1:3] = holes[1, 0] = holes[-1, 1] = False
    yield Probe(*arrays, holes)
    padding = np.arange(KEYS) != 1
    yield Probe(*arrays, np.broadcast_to(padding, holes.shape).copy())
