"""Break it: each known mutant of a step, its code, numbers and lights."""

import inspect
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

from parity_tests.judge.mutants.steps import MUTANTS
from parity_tests.judge.steps.property import twin_of
from parity_tests.judge.verdict.protocol import Broken

from .examples import example_of
from .mutant_code import code_of
from .proof import Light, lights

BREAKABLE = (
    *("attention_scores", "causal_mask", "softmax", "masked_softmax"),
    *("split_heads", "cross_entropy", "layer_norm"),
)


@dataclass(frozen=True)
class Mutant:
    """A mutant: its cause in words, its code, its result, its lights.

    `result` is None where it raises an error on the example.
    """

    cause: str
    code: str
    result: object
    lights: tuple[Light, ...]


def mutants_of(name: str, lights=lights) -> list[Mutant]:
    """Each mutant of a step that a property tells from the right one."""
    mutants = [
        Mutant(
            cause,
            code_of(mutant),
            result(mutant, name),
            lights(by_name(mutant, name), name, cause),
        )
        for cause, mutant in MUTANTS[name].items()
    ]
    return [m for m in mutants if any(light.is_off for light in m.lights)]


def by_name(mutant: Callable, name: str) -> Callable:
    """A mutant, which takes a step's arguments in order, by their names.

    Broken is what an error becomes that it raises, as of axes that are
    not there. NumPy's warnings are no news of what is wrong on purpose.
    """
    order = inspect.signature(twin_of(name).reference).parameters

    def step(**arguments):
        try:
            with warnings.catch_warnings(action="ignore"):
                return mutant(*(arguments[argument] for argument in order))
        except (IndexError, TypeError, ValueError) as error:
            raise Broken(str(error)) from error

    return step


def result(mutant: Callable, name: str):
    """What a mutant makes of the example."""
    arguments = deepcopy(example_of(name).numpy_arguments())
    try:
        return by_name(mutant, name)(**arguments)
    except Broken:
        return None
