"""Diagnosis of a wrong step: it is compared with known mutants.

As for attention, a cause is named when exactly one mutant gives what the
step gives: first on plain inputs; if it is right there, on extreme ones,
such as numbers that overflow and fully masked rows.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import is_dataclass
from functools import cache
from types import SimpleNamespace

import numpy as np

from parity_tests.judge.attention.diagnosis import alike
from parity_tests.judge.mutants.steps import MUTANTS
from parity_tests.twins.finding import find_twins
from parity_tests.twins.gradients import backward

from .probes import EXTREME, PLAIN

BACKWARD = "_backward"


def cause_of_step(function: Callable, name: str) -> str | None:
    """The one mutant that gives what the function gives, or None.

    `function` is called with NumPy values by the names that the step
    `name` gives them.
    """
    plain = PLAIN.get(name, [])
    for cases in (plain, plain + EXTREME.get(name, [])):
        outputs = outputs_for(function, cases)
        if any(changes(function, case) for case in cases):
            return "it modifies its inputs in place"
        if not agree(outputs, outputs_for(function, cases)):
            return "the output is random"
        expected = outputs_for(reference(name), cases)
        if any(map(is_wrong, outputs, expected)):
            return cause_of_outputs(outputs, name)
    return None


def is_wrong(output, expected) -> bool:
    """Whether there is an output, and another one than expected."""
    return output is not None and not agree(output, expected)


def cause_of_outputs(outputs: list, name: str) -> str | None:
    """The one mutant of the step `name` that gives all these outputs."""
    matching = [
        cause
        for cause, expected in mutant_outputs(name).items()
        if agree(outputs, expected[: len(outputs)])
    ]
    return matching[0] if len(matching) == 1 else None


@cache
def mutant_outputs(name: str) -> dict[str, list]:
    """What each mutant gives, on plain inputs and then on extreme ones."""
    cases = PLAIN[name] + EXTREME.get(name, [])
    return {
        cause: outputs_for(in_order(mutant), cases)
        for cause, mutant in MUTANTS[name].items()
    }


def in_order(mutant: Callable) -> Callable:
    """A mutant takes the arguments of the step in order, not by name."""
    return lambda **arguments: mutant(*arguments.values())


@cache
def reference(name: str) -> Callable:
    """The project's own function for a step, or for its gradient."""
    step = name.removesuffix(BACKWARD)
    (twin,) = (twin for twin in find_twins() if twin.name == step)
    return twin.reference if step == name else backward(twin)


def outputs_for(function: Callable, cases: list[dict]) -> list:
    return [output_for(function, deepcopy(case)) for case in cases]


def output_for(function: Callable, case: dict):
    """The output of a function; None if it raises."""
    try:
        with np.errstate(all="ignore"):
            return function(**case)
    except (Exception, SystemExit):  # foreign code
        return None


def changes(function: Callable, case: dict) -> bool:
    """Whether the call modifies its arguments."""
    arguments = deepcopy(case)
    output_for(function, arguments)
    return not agree(list(arguments.values()), list(case.values()))


def agree(output, expected) -> bool:
    """Equal in every part; floats up to rounding, and NaN equals NaN."""
    if isinstance(expected, tuple | list):
        return (
            isinstance(output, tuple | list)
            and len(output) == len(expected)
            and all(map(agree, output, expected))
        )
    if is_dataclass(expected) or isinstance(expected, SimpleNamespace):
        return all(
            agree(getattr(output, name, None), part)
            for name, part in vars(expected).items()
        )
    if output is None or expected is None:
        return output is expected
    if isinstance(expected, str | bytes | dict):
        return output == expected
    return agree_as_arrays(np.asarray(output), np.asarray(expected))


def agree_as_arrays(output: np.ndarray, expected: np.ndarray) -> bool:
    if output.shape != expected.shape or output.dtype.kind not in "biuf":
        return False
    if "f" in output.dtype.kind + expected.dtype.kind:
        return alike(output, expected)
    return np.array_equal(output, expected)
