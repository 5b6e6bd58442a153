"""Why a step is wrong: it is compared with known wrong ones.

As in `diagnosis.py`, a cause is named when exactly one mistake gives what
came. First on plain inputs; where all is right there, on extreme ones:
numbers that overflow, rows that see nothing.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import is_dataclass
from functools import cache
from types import SimpleNamespace

import numpy as np

from parity_tests.judge.attention.diagnosis import alike
from parity_tests.judge.mutants.steps import VARIANTS
from parity_tests.twins.finding import find_twins
from parity_tests.twins.gradients import backward

from .questions import EXTREME, PLAIN

BACKWARD = "_backward"


def cause_of_step(function: Callable, name: str) -> str | None:
    """The one known mistake that gives what the function gives, or None.

    `function` is called with NumPy values by the names that the step
    `name` gives them.
    """
    plain = PLAIN.get(name, [])
    for cases in (plain, plain + EXTREME.get(name, [])):
        came = answers(function, cases)
        if any(changes(function, case) for case in cases):
            return "it changes what it was given"
        if not agree(came, answers(function, cases)):
            return "the answer is left to chance"
        right = answers(reference(name), cases)
        if any(map(is_wrong, came, right)):
            return cause_of_answers(came, name)
    return None


def is_wrong(came, right) -> bool:
    """Whether something came, and is another; nothing has no cause."""
    return came is not None and not agree(came, right)


def cause_of_answers(came: list, name: str) -> str | None:
    """The one mistake in the step `name` that gives all of them."""
    matching = [
        cause
        for cause, expected in wrong_answers(name).items()
        if agree(came, expected[: len(came)])
    ]
    return matching[0] if len(matching) == 1 else None


@cache
def wrong_answers(name: str) -> dict[str, list]:
    """What each known mistake gives, on plain inputs, then extreme ones."""
    cases = PLAIN[name] + EXTREME.get(name, [])
    return {
        cause: answers(in_order(wrong), cases)
        for cause, wrong in VARIANTS[name].items()
    }


def in_order(wrong: Callable) -> Callable:
    """A mistake takes what the step takes in its order, not by name."""
    return lambda **given: wrong(*given.values())


@cache
def reference(name: str) -> Callable:
    """The project's own function for a step, or for its gradient."""
    step = name.removesuffix(BACKWARD)
    (twin,) = (twin for twin in find_twins() if twin.name == step)
    return twin.reference if step == name else backward(twin)


def answers(function: Callable, cases: list[dict]) -> list:
    return [answer(function, deepcopy(case)) for case in cases]


def answer(function: Callable, case: dict):
    """What comes back; None where nothing does."""
    try:
        with np.errstate(all="ignore"):
            return function(**case)
    except (Exception, SystemExit):  # a stranger's code
        return None


def changes(function: Callable, case: dict) -> bool:
    """Whether what is handed over is another after the call."""
    given = deepcopy(case)
    answer(function, given)
    return not agree(list(given.values()), list(case.values()))


def agree(came, expected) -> bool:
    """Equal in every part; floats but for rounding, and NaN equals NaN."""
    if isinstance(expected, tuple | list):
        return (
            isinstance(came, tuple | list)
            and len(came) == len(expected)
            and all(map(agree, came, expected))
        )
    if is_dataclass(expected) or isinstance(expected, SimpleNamespace):
        return all(
            agree(getattr(came, name, None), part)
            for name, part in vars(expected).items()
        )
    if came is None or expected is None:
        return came is expected
    if isinstance(expected, str | bytes | dict):
        return came == expected
    return agree_as_arrays(np.asarray(came), np.asarray(expected))


def agree_as_arrays(came: np.ndarray, expected: np.ndarray) -> bool:
    if came.shape != expected.shape or came.dtype.kind not in "biuf":
        return False
    if "f" in came.dtype.kind + expected.dtype.kind:
        return alike(came, expected)
    return np.array_equal(came, expected)
