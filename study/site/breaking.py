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
from .values import digits_of, tables

BREAKABLE = (
    *("attention_scores", "causal_mask", "softmax", "masked_softmax"),
    *("split_heads", "cross_entropy", "layer_norm"),
    *("rms_norm", "silu", "swiglu", "rotary_halves", "rotary_neighbours"),
    *("repeat_heads", "round_to", "add_in_half", "sum_in_half"),
    *("attention_inside_float32", "attention_rounded_within"),
    *("add_key_block", "merge_partial_attention", "tiled_attention"),
)


@dataclass(frozen=True)
class Mutant:
    """A mutant: its cause in words, its code, itself, its lights."""

    cause: str
    code: str
    step: Callable
    lights: tuple[Light, ...]


def mutants_of(name: str, lights=lights) -> list[Mutant]:
    """Each mutant of a step that a property tells from the right one."""
    mutants = []
    for cause, mutant in MUTANTS[name].items():
        step = by_name(mutant, name)
        asked = lights(step, name, cause)
        if any(light.is_off for light in asked):
            mutants.append(Mutant(cause, code_of(mutant), step, asked))
    return mutants


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


def value_of(step: Callable, name: str) -> str:
    """HTML for what a step, or a mutant of it, makes of the example."""
    arguments = deepcopy(example_of(name).numpy_arguments())
    try:
        return tables(step(**arguments), digits_of(name))
    except Broken:
        return "it raises an error"
