"""Diagnosis of a wrong class: it is compared with mutant layers."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from parity_tests.judge.attention.diagnosis import alike
from parity_tests.judge.mutants.class_parts import MUTANTS, layer_of_heads
from parity_tests.judge.subject.protocol import Broken
from parity_tests.judge.subject.weights import readings

from .student_class import output_of

SEEDS = (11, 12)


def cause_of_class(student, plain_case: Callable) -> str | None:
    """The one mutant that gives what the class gives, or None."""
    cases = [
        plain_case(student, seed, tokens)
        for seed in SEEDS
        for tokens in (5, 3)
    ]
    try:
        modules = [student.module(case) for case in cases]
        pairs = list(zip(modules, cases, strict=True))
        outputs = [output_of(module, case.x) for module, case in pairs]
        again = [output_of(module, case.x) for module, case in pairs]
    except Broken as error:
        modified = "modified its input tokens" in str(error)
        return "it modifies its inputs in place" if modified else None
    if not all(map(alike, outputs, again)):
        return "the output is random: dropout stays on at evaluation"
    matching = [
        names
        for reading in range(len(readings(modules[0], student.heads)))
        for names in matching_in(
            replace(student, reading=reading), cases, outputs
        )
    ]
    if len(matching) != 1 or len(matching[0]) != 1:
        return None
    return matching[0][0]


def matching_in(student, cases: list, outputs: list) -> list[list[str]]:
    """The mutants that give these outputs, with one reading of weights."""
    inputs = [
        (student.weights(case), case.x, student.causal) for case in cases
    ]
    if gives(layer_of_heads, inputs, outputs):
        return []
    return [
        names
        for names in groups(possible(student.heads), inputs)
        if gives(MUTANTS[names[0]], inputs, outputs)
    ]


def possible(heads: int) -> dict[str, Callable]:
    """The mutants that apply to a class: no mask, perhaps no heads."""
    return {
        name: mutant
        for name, mutant in MUTANTS.items()
        if "another mask" not in name
        and (heads > 1 or not ("heads" in name or "d_model" in name))
    }


def groups(mutants: dict[str, Callable], inputs: list) -> list[list[str]]:
    """Mutants that these inputs cannot tell apart, grouped together."""
    grouped: list[tuple[list[str], list]] = []
    for name, mutant in mutants.items():
        outputs = outputs_of(mutant, inputs)
        if outputs is None:
            continue
        for names, others in grouped:
            if all(map(alike, outputs, others)):
                names.append(name)
                break
        else:
            grouped.append(([name], outputs))
    return [names for names, _ in grouped]


def outputs_of(mutant: Callable, inputs: list) -> list | None:
    """What a mutant gives, None where it needs other shapes."""
    try:
        with np.errstate(all="ignore"):
            return [np.asarray(mutant(*arguments)) for arguments in inputs]
    except (ValueError, TypeError):
        return None


def gives(mutant: Callable, inputs: list, outputs: list) -> bool:
    """Whether a mutant gives all these outputs."""
    expected = outputs_of(mutant, inputs)
    return expected is not None and all(
        a.shape == b.shape and alike(a, b)
        for a, b in zip(expected, outputs, strict=True)
    )
