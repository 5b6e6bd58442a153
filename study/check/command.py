"""`twice check`: your own attention, judged."""

import json
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import Annotated

import typer

from .printing import print_csv, print_report, print_table
from .process import JudgedFile, Limits, judge_files

HELP = """
Judge your own attention, in Python files or notebooks.

What is judged: every function that has the name of one in the reference,
every attention class, and every attention function that takes tokens and
weights. Each file is run, in a process of its own; folders are skipped.

Each is tested for the properties that any attention must have, and against
the reference. For a failure you get the smallest input that shows it and
the likely cause. Exit code 0 when everything holds, 1 when something fails,
2 when something could not be judged, and for wrong use.
"""
SECONDS, THOROUGH_SECONDS = 60, 1800
IN_TIME = 0.8  # the share of that after which no new property is begun


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


class FullyMasked(StrEnum):
    zeros = "zeros"


MASKS = {
    Mask.attends: "True may attend",
    Mask.hides: "True is masked",
    Mask.added: "added",
}
ALIGNMENTS = {
    Alignment.first: "the first queries",
    Alignment.last: "the last queries",
}


def check(
    files: Annotated[
        list[Path], typer.Argument(help="Python files or notebooks.")
    ],
    role: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="What the last class or function of the file is, if its "
            "name does not say so; for example causal_attention.",
            show_default=False,
        ),
    ] = None,
    array: Annotated[
        Arrays | None,
        typer.Option(help="Array library; default: detected."),
    ] = None,
    mask: Annotated[
        Mask | None,
        typer.Option(
            help="Mask convention: True attends, True hides, or the mask "
            "is added to the scores; default: detected."
        ),
    ] = None,
    alignment: Annotated[
        Alignment | None,
        typer.Option(
            help="Causal attention with fewer queries than keys: whether "
            "the queries are the first or the last tokens; default: "
            "detected."
        ),
    ] = None,
    fully_masked: Annotated[
        FullyMasked | None,
        typer.Option(
            help="Required output of a fully masked row, one whose query "
            "may attend to no key; default: detected."
        ),
    ] = None,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough", help="Try 1,000 inputs per property, not 25."
        ),
    ] = False,
    examples: Annotated[
        int | None,
        typer.Option(
            help="Number of inputs per property.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    timeout: Annotated[
        float | None,
        typer.Option(
            help=f"Time limit per file, in seconds; default: {SECONDS}, "
            f"or {THOROUGH_SECONDS} with --thorough."
        ),
    ] = None,
    memory: Annotated[
        float, typer.Option(help="Memory limit per file, in gigabytes.")
    ] = 4,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, one row per verdict.")
    ] = False,
) -> None:
    files = [path for path in files if not path.is_dir()]
    for path in files:
        if not path.is_file():
            raise ValueError(f"expected a file, got {path}")
    if not files:
        raise ValueError("expected at least one file, got only folders")
    check_role(role)
    if examples is not None and examples < 1:
        raise ValueError(
            f"expected --examples to be at least 1, got {examples}"
        )
    if as_json and as_csv:
        raise ValueError("expected --json or --csv, got both")
    default = THOROUGH_SECONDS if thorough else SECONDS
    seconds = default if timeout is None else timeout
    check_positive("--timeout", seconds)
    check_positive("--memory", memory)
    request = {
        "role": role,
        "array": array and array.value,
        "mask": mask and MASKS[mask],
        "alignment": alignment and ALIGNMENTS[alignment],
        "fully_masked_row": fully_masked and fully_masked.value,
        "examples": examples or (1000 if thorough else 25),
        "seed": seed,
        "seconds": IN_TIME * seconds,
    }
    judged = judge_files(files, request, Limits(seconds, memory))
    if as_json:
        print(json.dumps([as_plain(file) for file in judged], indent=2))
    elif as_csv:
        print_csv(judged)
    elif len(judged) > 1:
        print_table(judged)
    else:
        print_report(judged[0])
    if any(file.fails for file in judged):
        raise typer.Exit(1)
    raise typer.Exit(2 if any(file.open for file in judged) else 0)


def verdict(judged: JudgedFile) -> str:
    """The verdict on a file, in a word or two."""
    if judged.fails:
        return "fails"
    return "holds" if judged.holds else "not judged"


def check_positive(option: str, number: float) -> None:
    """Raise ValueError unless the number is finite and above 0."""
    if not 0 < number < inf:
        raise ValueError(
            f"expected {option} to be finite and above 0, got {number:g}"
        )


def check_role(role: str | None) -> None:
    """Raise ValueError for an unknown role."""
    if role is None:
        return
    from parity_tests.judge.classes.verdict import ROLES
    from parity_tests.judge.files.submission import (
        ALIASES,
        ATTENTION,
        judged_names,
    )

    common = [*ROLES, ATTENTION]
    if role not in (*common, *ALIASES, *judged_names()):
        raise ValueError(
            f"expected --as to be one of {', '.join(common)}, or the name "
            f"of another step of numpy_ref, got {role}"
        )


def as_plain(judged: JudgedFile) -> dict:
    """A judged file as JSON has it."""
    return {
        "file": str(judged.path),
        "verdict": verdict(judged),
        "unjudged": judged.unjudged,
        "trouble": judged.trouble,
        "notes": judged.notes,
        "printed_bytes": judged.printed,
        "reports": judged.reports,
    }
