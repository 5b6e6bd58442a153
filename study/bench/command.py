"""`twice bench`: timings beside the peers, from a checkout."""

from pathlib import Path
from typing import Annotated

import typer

HELP = """
Time attention, models and tokenizers beside peers.

Both sides run in turn, in one process and on as many threads. Shows the
medians, the ratio with its spread, how much of what this machine allows is
reached, and the memory that one call needs in a process of its own.

Tables: attention, growth, bert, gpt2, llama, training, heads, tokenizers;
all of them if none is named. Needs a checkout.
"""

SUFFIXES = (".png", ".svg")
ROUNDS = (2, 1000)
QUICK_ROUNDS = 3


def bench(
    tables: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TABLE]...", show_default=False),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(help="Only what is short: less than two minutes."),
    ] = False,
    rounds: Annotated[
        int | None,
        typer.Option(
            help="Rounds of each race, at most; default: 15, or 3 with "
            "--quick.",
            show_default=False,
        ),
    ] = None,
    memory: Annotated[
        bool,
        typer.Option(help="Measure the memory that one call needs."),
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Save the plot of growth to this .png or .svg file.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON.")
    ] = False,
) -> None:
    count = rounds or (QUICK_ROUNDS if quick else 15)
    least, most = ROUNDS
    if not least <= count <= most:
        raise ValueError(
            f"expected --rounds from {least} to {most:,}, got {rounds}"
        )
    try:
        from benchmarks.tables import QUICK, TABLES, check_tables
    except ModuleNotFoundError as error:
        if error.name.split(".")[0] != "benchmarks":
            raise
        raise ValueError(
            "expected a checkout of the project, which has the benchmarks, "
            "got an installed package without them"
        ) from None
    names = tuple(tables or (QUICK if quick else TABLES))
    check_tables(names)
    if out is not None:
        from numpy_ref.files import check_path

        check_path(out, SUFFIXES, "--out")
        if "growth" not in names:
            raise ValueError(
                "expected the table growth, which --out plots, got "
                f"{', '.join(names)}"
            )
    from .measuring import measure_and_print

    measure_and_print(names, quick, count, memory, out, as_json)
