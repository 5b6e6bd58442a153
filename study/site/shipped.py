"""Shipped bugs: for each property of a step, those that break it."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from parity_tests.judge.mutants.steps import MUTANTS

from .breaking import by_name
from .proof import lights

TABLE = Path(__file__).with_name("shipped.toml")


@dataclass(frozen=True)
class Shipped:
    """A bug that was released: the mistake, where, and its issue."""

    step: str
    mutant: str
    shipped: str
    origin: str


@cache
def shipped_bugs() -> tuple[Shipped, ...]:
    """The bugs of the table."""
    table = tomllib.loads(TABLE.read_text("utf-8"))
    return tuple(Shipped(**bug) for bug in table["bug"])


@cache
def shipped_against(step: str, lights=lights) -> dict[str, list[Shipped]]:
    """The bugs that break each property of a step, by its name.

    Raises AssertionError for a bug that breaks none.
    """
    against = {}
    for bug in shipped_bugs():
        if bug.step != step:
            continue
        mutant = by_name(MUTANTS[step][bug.mutant], step)
        asked = lights(mutant, step, bug.mutant)
        broken = [light for light in asked if light.is_off]
        assert broken, f"{step}: {bug.mutant} breaks no property"
        for light in broken:
            against.setdefault(light.property.name, []).append(bug)
    return against
