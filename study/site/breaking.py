"""Break it: each known mutant of a step, its code, numbers and lights."""

import ast
import inspect
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from textwrap import dedent

import numpy as np

from parity_tests.judge.mutants.steps import FILES, MUTANTS
from parity_tests.judge.steps.property import twin_of
from parity_tests.judge.verdict.protocol import Broken

from .examples import example_of
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


def mutants_of(name: str) -> list[Mutant]:
    """Each mutant of a step that a property tells from the right one."""
    mutants = [
        Mutant(
            cause,
            code_of(name, cause),
            result(mutant, name),
            lights(by_name(mutant, name), name),
        )
        for cause, mutant in MUTANTS[name].items()
    ]
    return [m for m in mutants if any(light.failed for light in m.lights)]


def by_name(mutant: Callable, name: str) -> Callable:
    """A mutant, which takes a step's arguments in order, by their names.

    Broken is what an error becomes that it raises, as of axes that are
    not there.
    """
    order = inspect.signature(twin_of(name).reference).parameters

    def step(**arguments):
        try:
            return mutant(*(arguments[argument] for argument in order))
        except (IndexError, TypeError, ValueError) as error:
            raise Broken(str(error)) from error

    return step


def result(mutant: Callable, name: str):
    """What a mutant makes of the example."""
    arguments = deepcopy(example_of(name).numpy_arguments())
    try:
        with np.errstate(all="ignore"):
            return by_name(mutant, name)(**arguments)
    except Broken:
        return None


def code_of(name: str, cause: str) -> str:
    """The source of a mutant, or "" for one that is made by a loop."""
    return sources().get((name, cause), "")


@cache
def sources() -> dict[tuple[str, str], str]:
    """The source of each mutant that stands in a table, by step, cause."""
    found = {}
    for file in FILES:
        tables, steps = tables_of(
            inspect.getsource(sys.modules[file.__name__])
        )
        for step, table in steps.items():
            for cause, code in tables.get(table, {}).items():
                found[step, cause] = code
    return found


def tables_of(source: str):
    """The tables of a file by their names, and the table of each step."""
    tables, steps = {}, {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.AnnAssign):
            continue
        if not isinstance(node.value, ast.Dict):
            continue
        entries = {
            key.value: value
            for key, value in zip(
                node.value.keys, node.value.values, strict=True
            )
            if isinstance(key, ast.Constant)
        }
        if node.target.id == "MUTANTS":
            steps = {
                step: value.id
                for step, value in entries.items()
                if isinstance(value, ast.Name)
            }
        else:
            tables[node.target.id] = {
                cause: dedent(ast.get_source_segment(source, value))
                for cause, value in entries.items()
            }
    return tables, steps
