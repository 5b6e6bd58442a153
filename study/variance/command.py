"""`twice variance`: the square root of d_k, measured and plotted."""

from pathlib import Path
from typing import Annotated

import typer

HELP = """
Measure what the square root of d_k does.

Shows what happens with 1/√(d_k) and without it: to the variance of q · k,
to softmax, and to the gradients that flow back through it. Draws a plot,
too; with --json only if --out is given.
"""

DEFAULT = Path("variance.png")
SUFFIXES = (".png", ".svg")
SAMPLES = (64, 1_000_000)


def variance(
    out: Annotated[
        Path | None,
        typer.Option(
            help="Save the plot to this .png or .svg file; default: "
            "variance.png.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(help="Query-key pairs for each d_k.")
    ] = 4096,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON.")
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
    """Raise ValueError for too few or too many samples, or a bad seed."""
    least, most = SAMPLES
    if not least <= samples <= most:
        raise ValueError(
            f"expected --samples from {least} to {most:,}, got {samples}"
        )
    if seed < 0:
        raise ValueError(f"expected --seed to be at least 0, got {seed}")
