"""`twice variance`: the square root of d_k, measured and plotted."""

from pathlib import Path
from typing import Annotated

import typer

HELP = """
Measure what the square root of d_k does, and what happens without it: to
the variance of q · k, to softmax, and to the gradients that come back
through it. With --json the numbers are printed as JSON, and drawn only
where --out says so.
"""

DEFAULT = Path("variance.png")
SUFFIXES = (".png", ".svg")
SAMPLES = (64, 1_000_000)


def variance(
    out: Annotated[
        Path | None,
        typer.Option(
            help="The plot, PNG or SVG by its suffix; variance.png.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(help="Pairs of query and key, for each d_k.")
    ] = 4096,
    seed: Annotated[int, typer.Option(help="Seed of all chance.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for machines.")
    ] = False,
) -> None:
    check_numbers(samples, seed)
    path = DEFAULT if out is None and not as_json else out
    if path is not None:
        from numpy_ref.files import check_path, write_file

        check_path(path, SUFFIXES, "--out")
        from .plots import plot_file  # is matplotlib there?
    from .measures import json_of, measure, print_measures

    measures = measure(samples, seed)
    if path is not None:
        write_file(path, plot_file(measures, path.suffix.lower()))
    if as_json:
        print(json_of(measures))
    else:
        print_measures(measures)
        print(path)
    raise typer.Exit(0 if measures.hold else 1)


def check_numbers(samples: int, seed: int) -> None:
    """Raise ValueError for too few samples, too many, or no seed."""
    least, most = SAMPLES
    if not least <= samples <= most:
        raise ValueError(
            f"expected --samples from {least} to {most:,}, got {samples}"
        )
    if seed < 0:
        raise ValueError(f"expected --seed to be at least 0, got {seed}")
