"""Diagnosis: a wrong subject is compared with known mutants.

A cause is named when exactly one mutant gives the subject's outputs on
every probe; "unknown" is a valid answer, a wrong cause is not.
"""

from collections.abc import Callable

import numpy as np

from .protocol import Broken, NotAsked, Raised, Subject
from .report import Report

MODIFIES = "it modifies its inputs in place"


def causes_of(subject: Subject) -> set[str]:
    """The mutants that give what the subject gives: one is its cause.

    Where several do, the probes of the next stage may tell them apart.
    """
    probes: list = []
    names: set[str] | None = None  # of mutants that match, once it is wrong
    for stage in subject.probes():
        probes = [*probes, *stage]
        outputs = [output_for(subject, probe) for probe in probes]
        again = [output_for(subject, probe) for probe in probes]
        if any(subject.changes(probe) for probe in stage):
            return {MODIFIES}
        if not agree(subject, outputs, again, probes):
            return {random_or_remembering(subject, probes[0])}
        right = [subject.right(probe) for probe in probes]
        if agree(subject, outputs, right, probes):
            continue
        names = matching(subject, probes, outputs)
        if len(names) == 1:
            return names
    is_wrong = names is not None
    other = (
        digits_lost(outputs, right) if is_wrong else subject.other_cause()
    )
    return {other} if other else names or set()


REMEMBERS = "answers depend on calls before: something is remembered"


def random_or_remembering(subject: Subject, probe) -> str:
    """Whether one input mostly gets the same output, or ever another."""
    outputs = [output_for(subject, probe) for _ in range(12)]
    same = [
        other is not None and subject.agree(output, other, probe)
        for output in outputs
        if output is not None
        for other in outputs
    ]
    mostly = sum(same) > 0.6 * len(same)
    return REMEMBERS if mostly else subject.when_random


def output_for(subject: Subject, probe):
    """The output, None where there is none."""
    try:
        return subject.answer(probe)
    except (Broken, NotAsked, Raised):
        return None


def agree(subject: Subject, outputs, expected, probes) -> bool:
    """Whether outputs are as expected, where there are any."""
    return all(
        output is None or subject.agree(output, wanted, probe)
        for output, wanted, probe in zip(
            outputs, expected, probes, strict=True
        )
    )


def matching(subject: Subject, probes, outputs) -> set[str]:
    """The names of all mutants that give these outputs."""
    if all(output is None for output in outputs):
        return set()
    return {
        name.split(" [")[0]  # what follows tells variants apart
        for name, mutant in subject.mutants(probes)
        if gives(subject, mutant, probes, outputs)
    }


def gives(subject: Subject, mutant: Callable, probes, outputs) -> bool:
    """Whether a mutant gives all these outputs, and raises where the
    subject does."""
    for probe, output in zip(probes, outputs, strict=True):
        try:
            with np.errstate(all="ignore"):
                expected = mutant(probe)
        except Exception:  # a mutant that needs other shapes
            if output is None:
                continue
            return False
        if output is None or not subject.agree(output, expected, probe):
            return False
    return True


PLAINEST = 2  # probes, the first of which have the smallest numbers


def digits_lost(outputs: list, right: list) -> str | None:
    """Whether only 2 to 4 digits of every entry are right.

    So few mean lost precision, and not another formula: for scores of
    any size the errors are small, and to both sides.
    """
    pairs = [
        (output, exact)
        for output, exact in zip(outputs, right, strict=True)
        if isinstance(output, np.ndarray)
        and isinstance(exact, np.ndarray)
        and output.dtype.kind == "f"
        and output.dtype.itemsize > 2
        and output.shape == exact.shape
    ]
    finite = [np.isfinite(output).all() for output, _ in pairs]
    if len(pairs) < len(outputs) or not all(finite[:PLAINEST]):
        return None
    pairs = [
        pair for pair, whole in zip(pairs, finite, strict=True) if whole
    ]
    errors = np.concatenate([(a - b).ravel() for a, b in pairs])
    errors = errors[np.isfinite(errors)]
    worst = np.abs(errors).max(initial=0)
    both_ways = abs(errors.sum()) < 0.5 * np.abs(errors).sum()
    if both_ways and 1e-5 < worst < 1e-2:
        digits = int(-np.log10(worst))
        return f"only about {digits} digits are kept, as in float16"
    return None


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal to the digits that tell one mutant from another.

    A NaN equals a NaN: an overflow is an output, too.
    """
    if a.shape != b.shape:
        return False
    tolerance = 1e-3 if np.float32 in (a.dtype, b.dtype) else 1e-6
    return np.allclose(a, b, tolerance, tolerance, equal_nan=True)


# What failing properties have in common, from the most telling on: if some
# of the first ones fail, and beside them none but the second ones, this is
# what it usually means.
PATTERNS = (
    (
        ("dropout_keeps_the_mean",),
        (),
        "only training is wrong: what dropout drops, or by how much the "
        "rest is scaled up",
    ),
    (
        ("gradients_equal_the_exact_ones", "gradients_are_the_exact_ones"),
        (),
        "the values are right and only gradients are wrong: a detach, or "
        "a backward written by hand",
    ),
    (
        ("its_backward_gives_the_exact_gradient",),
        (),
        "the values are right and only its backward is wrong: look at the "
        "gradient of the softmax, at the scale, and at what is summed",
    ),
    (
        (
            "sizes_beyond_a_tile_are_no_different",
            "more_tokens_than_a_tile_are_no_different",
            "many_keys_are_no_different",
        ),
        (),
        "only large sizes are wrong: look at the last tile, and at what "
        "is done from some size on",
    ),
    (
        ("large_scores_stay_finite",),
        (),
        "only large scores are wrong: look at the maximum that is "
        "subtracted, and at what is put in place of -inf",
    ),
    (
        (
            "a_mask_hides_what_it_should",
            "its_causal_form_joins_another_mask",
        ),
        (  # which are asked with a mask, too
            "two_masks_hide_what_either_hides",
            "more_tokens_than_a_tile_are_no_different",
            "large_tokens_stay_finite",
        ),
        "it is right without a mask: look at what the mask is applied to",
    ),
    (
        ("answers_do_not_depend_on_calls_before",),
        (),
        "the first answers are right: look for what is kept from call to "
        "call",
    ),
)
# What tells most where it still holds.
TELLING = {
    "equals_the_reference": "values without a mask",
    "weights_are_a_distribution": "weights are a distribution",
    "keys_have_no_order": "keys have no order",
    "batch_entries_do_not_meet": "batch entries do not meet",
    "texts_do_not_mix": "texts do not mix",
    "a_later_token_changes_no_earlier_output": (
        "a later token changes no earlier output"
    ),
}


def what_is_known(report: Report) -> str:
    """What the failures have in common, in place of a cause."""
    failed = {finding.name for finding in report.failed}
    held = {finding.name for finding in report.of("holds")}
    for telling, beside, meaning in PATTERNS:
        if failed & {*telling} and failed <= {*telling, *beside}:
            return meaning
    groups = [words for name, words in TELLING.items() if name in held]
    still = f"; what still holds: {', '.join(groups)}" if groups else ""
    return (
        f"{len(failed)} properties fail, {len(held)} hold, and no known "
        f"mistake gives these numbers{still}"
    )
