"""Measuring tables: race by race, with a bar, limits and peaks."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from rich.console import Console
from rich.progress import Progress

from .machine import Machine, stolen
from .memory import peak
from .races import Race, Row, run
from .tables import races_of


def measure(
    tables: Sequence[str],
    machine: Machine,
    rounds: int,
    quick: bool = False,
    memory: bool = True,
) -> tuple[dict[str, list[Row]], float]:
    """All races of these tables, by the table's name, and the largest
    share of the time that others took between them."""
    console = Console(stderr=True)
    with Progress(
        console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        bar = progress.add_task("", total=None)
        measured: dict[str, list[Row]] = {}
        taken = 0.0
        for table in tables:
            measured[table] = []
            for race in races_of(table, quick):
                progress.update(bar, description=f"{table}: {race.work}")
                row = measure_race(table, race, machine, rounds, memory)
                measured[table].append(row)
                taken = max(taken, stolen())
    return measured, taken


def measure_race(
    table: str, race: Race, machine: Machine, rounds: int, memory: bool
) -> Row:
    """One row: times, what limits them, and the peaks of both sides."""
    row = run(race, rounds)
    limits = machine.limits(race.operations, race.bytes_read)
    peaks = dict(peaks_of(table, race)) if memory else {}
    return replace(row, limits=limits, peaks=peaks)


def peaks_of(table: str, race: Race) -> Iterator[tuple[str, float]]:
    """The peak of ours, and of the side that it is compared with; in the
    table of growth of all."""
    sides = race.sides if table == "growth" else islice(race.sides, 2)
    for side in sides:
        needed = peak(table, race.work, side)
        if needed is not None:
            yield side, needed
