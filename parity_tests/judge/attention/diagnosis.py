"""Diagnosis of a wrong attention: it is compared with known mutants.

A cause is named when exactly one mutant gives the subject's outputs on
every probe; "unknown" is a valid answer, a wrong cause is not.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import sqrt

import numpy as np

from parity_tests.judge.mutants.attention_parts import (
    MUTANTS,
    Probe,
    attention,
    visible,
)
from parity_tests.judge.subject.conventions import LAST, fully_masked_row
from parity_tests.judge.subject.protocol import Broken, Conventions, Subject

KEYS, D_HEAD, D_VALUE = 5, 3, 2  # none is its own root


def probes(conventions: Conventions) -> Iterator[Probe]:
    """Probes: plain, masked and causal ones, and some of large scores."""
    limits, random = conventions.limits, np.random.default_rng(7)
    batch = (2, 3)[: limits.batch_axes[-1]]
    width = D_HEAD if limits.one_width else D_VALUE
    for size, queries in ((1.5, 4), (30.0, KEYS), (3e3, KEYS)):
        shapes = (
            (KEYS if limits.square else queries, D_HEAD),
            (KEYS, D_HEAD),
            (KEYS, width),
        )
        query, key, value = (
            random.normal(size=(*batch, *shape)).astype(limits.dtypes[-1])
            for shape in shapes
        )
        yield from variations((query * size, key, value), conventions)
    for level in (5e2, 5e3, 5e4):
        low = query.copy(), key.copy(), value
        low[0][..., 0], low[1][..., 0] = level / 10, -10 * sqrt(D_HEAD)
        yield from masked(low, conventions)
        high = low[0], key.copy(), value
        high[1][..., 1, 0] = 10 * sqrt(D_HEAD)
        yield from masked(high, conventions)


def variations(arrays, conventions: Conventions) -> Iterator[Probe]:
    """The same arrays without a mask, with masks, and causally."""
    if conventions.causal == "always":
        yield Probe(*arrays, causal=True)
        return
    yield Probe(*arrays)
    holes = list(masked(arrays, conventions))
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


def masked(arrays, conventions: Conventions) -> Iterator[Probe]:
    """The same arrays with a mask that has holes, and with padding."""
    if not conventions.takes_masks:
        return
    holes = np.ones((arrays[0].shape[-2], KEYS), bool)
    holes[0, 1:3] = holes[1, 0] = holes[-1, 1] = False
    yield Probe(*arrays, holes)
    padding = np.arange(KEYS) != 1
    yield Probe(*arrays, np.broadcast_to(padding, holes.shape).copy())


def cause_of(subject: Subject) -> str | None:
    """The one mutant that gives what the subject gives, or None."""
    inputs = list(probes(subject.conventions))
    try:
        outputs = [output_for(subject, probe) for probe in inputs]
        again = [output_for(subject, probe) for probe in inputs]
    except Broken:
        return None
    if any(changes(subject, probe) for probe in inputs):
        return "it modifies its inputs in place"
    if not all(map(alike, outputs, again)):
        return "the output is random, as with dropout"
    correct = list(map(attention, inputs))
    if all(map(agrees, outputs, correct, inputs)):
        return cause_of_fully_masked_row(subject)
    if digits := digits_kept(outputs, correct):
        return f"only about {digits} digits are kept, as in float16"
    matching = [
        name
        for name, mutant in possible(subject.conventions).items()
        if matches(mutant, inputs, outputs)
    ]
    return matching[0] if len(matching) == 1 else None


def possible(conventions: Conventions) -> dict[str, Callable]:
    """All mutants; without those of two masks if it does not take both."""
    both = conventions.causal_and_mask == "both at once"
    return {
        name: mutant
        for name, mutant in MUTANTS.items()
        if both or "another mask" not in name
    }


def cause_of_fully_masked_row(subject: Subject) -> str | None:
    """What a fully masked row gets, if zeros were declared."""
    conventions = subject.conventions
    if (
        not conventions.takes_masks
        or conventions.fully_masked_row != "zeros"
    ):
        return None
    got = fully_masked_row(subject, conventions.limits)
    if got not in ("NaN", "the mean of all values"):
        return None
    return f"a fully masked row gets {got}, not zeros"


def output_for(subject: Subject, probe: Probe) -> np.ndarray:
    """On copies, so that the next call gets the same inputs."""
    arrays = probe.query, probe.key, probe.value
    copies = [array.copy() for array in arrays]
    if probe.causal and subject.causal is not None:
        return subject.causally(*copies, probe.mask)
    return subject(*copies, probe.mask)


def changes(subject: Subject, probe: Probe) -> bool:
    """Whether the call modifies its inputs."""
    arrays = probe.query, probe.key, probe.value
    copies = [array.copy() for array in arrays]
    subject(*copies, probe.mask)
    return not all(map(np.array_equal, arrays, copies))


def digits_kept(outputs: list, correct: list) -> int:
    """How many digits of every entry are right: 2 to 4, else 0.

    So few mean lost precision, and not another formula: for scores of
    any size the errors are small, and to both sides.
    """
    small = [
        (output - exact)[np.isfinite(output)]
        for output, exact in zip(outputs, correct, strict=True)
    ]
    errors = np.concatenate([part.ravel() for part in small])
    worst = np.abs(errors).max(initial=0)
    everywhere = all(np.isfinite(output).all() for output in outputs)
    both_ways = abs(errors.sum()) < 0.5 * np.abs(errors).sum()
    if everywhere and both_ways and 1e-5 < worst < 1e-2:
        return int(-np.log10(worst))
    return 0


def matches(mutant: Callable, inputs: list, outputs: list) -> bool:
    """Whether a mutant gives all these outputs."""
    for probe, output in zip(inputs, outputs, strict=True):
        try:
            with np.errstate(all="ignore"):
                expected = mutant(probe)
        except ValueError:  # a mutant that needs other shapes
            return False
        if not agrees(output, expected, probe):
            return False
    return True


def agrees(output, expected, probe) -> bool:
    """Equal, but for rounding and for fully masked rows.

    A NaN equals a NaN: an overflow is an output, too.
    """
    sees_any = visible(probe).any(axis=-1, keepdims=True)
    if output.shape != expected.shape:
        return False
    return alike(
        np.where(sees_any, output, 0), np.where(sees_any, expected, 0)
    )


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal to the digits that tell one mutant from another."""
    tolerance = 1e-3 if np.float32 in (a.dtype, b.dtype) else 1e-6
    return np.allclose(a, b, tolerance, tolerance, equal_nan=True)
