"""Finding twins: which function belongs to which, by name."""

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType

import numpy_ref
import torch_impl

from .recording import snake_case
from .rules import file_has_twin, has_twin, steps_of


@dataclass(frozen=True)
class Twin:
    """Twin: a step on both sides, a function and a function or module."""

    name: str
    reference: FunctionType
    torch: FunctionType | type

    def __str__(self) -> str:
        return self.name


def twin_files() -> list[str]:
    """The files that both sides must have, by the listing of either.

    Paths are relative to a side, `attention.py` or `variants/rotary.py`,
    so that a room has its twins in the room of its name.
    """
    sides = [Path(side.__path__[0]) for side in (numpy_ref, torch_impl)]
    files = {
        path.relative_to(side).as_posix()
        for side in sides
        for path in side.rglob("*.py")
        if path.name != "__init__.py"
    }
    return sorted(filter(file_has_twin, files))


def namesake(kind: type, tree: str) -> type:
    """The class of this name in `tree`, where either tree has the class."""
    package, _, module = kind.__module__.partition(".")
    if package not in ("numpy_ref", "torch_impl"):
        return kind
    return getattr(
        importlib.import_module(f"{tree}.{module}"), kind.__name__
    )


@cache
def find_twins() -> tuple[Twin, ...]:
    """Every step that both sides take, in the order of the files."""
    return tuple(twin for file in twin_files() for twin in twins_of(file))


def twins_of(file: str) -> Iterator[Twin]:
    module = file.removesuffix(".py").replace("/", ".")
    ours = importlib.import_module(f"numpy_ref.{module}")
    theirs = importlib.import_module(f"torch_impl.{module}")
    members = {
        snake_case(name): member for name, member in vars(theirs).items()
    }
    for name in steps_of(inspect.getsource(ours)):
        if has_twin(file, name):
            yield Twin(name, getattr(ours, name), members[name])
