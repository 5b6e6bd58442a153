"""Measuring the tables that were asked for, and showing them."""

import json
from pathlib import Path

from rich.console import Console

from benchmarks.machine import this_machine, too_much_taken, why_too_busy
from benchmarks.measuring import measure
from benchmarks.report import about, as_json, table_of
from benchmarks.tables import TABLES, versions
from numpy_ref.files import write_file

WIDTH = 140  # columns, for a table that is not on a terminal


def measure_and_print(
    names: tuple[str, ...],
    quick: bool,
    rounds: int,
    memory: bool,
    out: Path | None,
    in_json: bool,
) -> None:
    """Measure, print, and save the plot where there is to be one."""
    if out is not None:
        from benchmarks.plot import growth_plot  # is matplotlib there?
    before = why_too_busy()
    machine = this_machine(versions())
    tables, taken = measure(names, machine, rounds, quick, memory)
    busy = before or too_much_taken(taken)
    if in_json:
        print(json.dumps(as_json(machine, tables, busy), indent=2))
    else:
        console = Console()
        if not console.is_terminal:
            console = Console(width=WIDTH)
        for name, rows in tables.items():
            console.print(table_of(f"{name}: {TABLES[name]}", rows))
        print(about(machine, rounds, busy))
    if out is not None:
        picture = growth_plot(tables["growth"], out.suffix.lower())
        write_file(out, picture)
        if not in_json:
            print(out)
