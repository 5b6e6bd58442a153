"""`twice check`: anybody's attention, judged."""

import json
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import Annotated

import typer

from .printing import print_csv, print_report, print_table
from .process import Judged, Limits, judge_files

HELP = """
Judge the attention in a file of Python or a notebook: every function that
has a name of the reference's, and every class of attention, or function of
attention that takes tokens and weights. The file is run, in a process of
its own; folders are passed over.

By the properties that any attention has, and against the reference; for a
failure the smallest input that shows it, and the likely cause. Exit code 0
when all holds, 1 when something does not, 2 when something could not be
judged, and for wrong use.
"""
SECONDS, THOROUGH_SECONDS = 60, 1800
IN_TIME = 0.8  # of them: no property is begun after that


class Arrays(StrEnum):
    numpy = "numpy"
    torch = "torch"


class Mask(StrEnum):
    attends = "attends"
    hides = "hides"
    added = "added"


class Alignment(StrEnum):
    first = "first"
    last = "last"


class Blocked(StrEnum):
    zeros = "zeros"


MASKS = {
    Mask.attends: "True may attend",
    Mask.hides: "True is masked",
    Mask.added: "added",
}


def check(
    files: Annotated[
        list[Path], typer.Argument(help="Files of Python, or notebooks.")
    ],
    role: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="What the last class or function of the file is, where "
            "its name does not say so: causal_attention, for one.",
            show_default=False,
        ),
    ] = None,
    array: Annotated[
        Arrays | None,
        typer.Option(help="Which arrays it takes; else found out."),
    ] = None,
    mask: Annotated[
        Mask | None,
        typer.Option(
            help="What True in a mask means, or that a mask is added; "
            "else found out."
        ),
    ] = None,
    alignment: Annotated[
        Alignment | None,
        typer.Option(
            help="Whether a causal form takes fewer queries for the first "
            "or the last tokens; else found out."
        ),
    ] = None,
    blocked: Annotated[
        Blocked | None,
        typer.Option(
            help="What a query should get that may attend to nothing; "
            "else found out."
        ),
    ] = None,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough", help="1,000 inputs for each property, not 25."
        ),
    ] = False,
    examples: Annotated[
        int | None,
        typer.Option(help="Or as many as this.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all inputs.")] = 0,
    timeout: Annotated[
        float | None,
        typer.Option(
            help=f"Seconds for one file; {SECONDS}, or {THOROUGH_SECONDS} "
            "if thorough."
        ),
    ] = None,
    memory: Annotated[
        float, typer.Option(help="Gigabytes that a file's code may take.")
    ] = 4,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for machines.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print a row for each, as CSV.")
    ] = False,
) -> None:
    files = [path for path in files if not path.is_dir()]
    for path in files:
        if not path.is_file():
            raise ValueError(f"expected a file, got {path}")
    if not files:
        raise ValueError("expected files, got folders only")
    check_role(role)
    if examples is not None and examples < 1:
        raise ValueError(
            f"expected --examples to be at least 1, got {examples}"
        )
    if as_json and as_csv:
        raise ValueError("expected --json or --csv, got both")
    usual = THOROUGH_SECONDS if thorough else SECONDS
    seconds = usual if timeout is None else timeout
    check_positive("--timeout", seconds)
    check_positive("--memory", memory)
    last = {Alignment.first: "the first queries"}
    asked = {
        "role": role,
        "array": array and array.value,
        "mask": mask and MASKS[mask],
        "alignment": alignment and last.get(alignment, "the last queries"),
        "fully_masked_row": blocked and blocked.value,
        "examples": examples or (1000 if thorough else 25),
        "seed": seed,
        "seconds": IN_TIME * seconds,
    }
    judged = judge_files(files, asked, Limits(seconds, memory))
    if as_json:
        print(json.dumps([as_plain(one) for one in judged], indent=2))
    elif as_csv:
        print_csv(judged)
    elif len(judged) > 1:
        print_table(judged)
    else:
        print_report(judged[0])
    if any(one.fails for one in judged):
        raise typer.Exit(1)
    raise typer.Exit(2 if any(one.open for one in judged) else 0)


def verdict(judged: Judged) -> str:
    """That of a file, in a word or two."""
    if judged.fails:
        return "fails"
    return "holds" if judged.holds else "not judged"


def check_positive(option: str, number: float) -> None:
    """Raise ValueError for what is no amount; a NaN is none."""
    if not 0 < number < inf:
        raise ValueError(
            f"expected {option} to be finite and above 0, got {number:g}"
        )


def check_role(role: str | None) -> None:
    """Raise ValueError for what is no role."""
    if role is None:
        return
    from parity_tests.judge.classes.verdict import ROLES
    from parity_tests.judge.files.submission import (
        ALIASES,
        ATTENTION,
        judged_names,
    )

    first = [*ROLES, ATTENTION]
    if role not in (*first, *ALIASES, *judged_names()):
        raise ValueError(
            f"expected --as to be one of {', '.join(first)}, or the name "
            f"of another step of numpy_ref, got {role}"
        )


def as_plain(judged) -> dict:
    return {
        "file": str(judged.path),
        "verdict": verdict(judged),
        "unjudged": judged.unjudged,
        "trouble": judged.trouble,
        "notes": judged.notes,
        "printed_bytes": judged.printed,
        "reports": judged.reports,
    }
