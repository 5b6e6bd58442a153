"""`twice check`: your own attention, judged."""

import sys
from enum import StrEnum
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Annotated

import typer

from .judged import JudgedFile, Request
from .printable import printable
from .printing import (
    Progress,
    print_csv,
    print_json,
    print_report,
    print_table,
)
from .process import judge_files

HELP = """
Judge your own attention, in Python files or notebooks.

What is judged: every function that has the name of one in the reference,
every attention class, and every attention function that takes tokens and
weights. Each file is run, in a process of its own, which is no sandbox;
folders are skipped.

Each is tested for the properties that any attention must have, and against
the reference. For a failure you get an input that shows it, as a script
that runs without this project, and the likely cause. What raises an error,
or gives no answer in time, is not judged.

Exit code 0 when all that was judged holds, 1 when something is rejected, 2
when something could not be judged, and for wrong use.
"""
SECONDS, THOROUGH_SECONDS = 60, 1800
LONGEST = 1024  # window that may be said


class Arrays(StrEnum):
    numpy = "numpy"
    torch = "torch"


class Dtype(StrEnum):
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


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
    window: Annotated[
        int | None,
        typer.Option(
            help="It has a sliding window: a query sees its own key and "
            f"those before it, so many in all; at most {LONGEST:,}.",
            show_default=False,
        ),
    ] = None,
    soft_cap: Annotated[
        float | None,
        typer.Option(
            help="It caps its scores: c tanh(s / c), before the mask.",
            show_default=False,
        ),
    ] = None,
    alibi: Annotated[
        bool,
        typer.Option(
            "--alibi", help="It adds ALiBi's bias of distances to scores."
        ),
    ] = False,
    sinks: Annotated[
        bool,
        typer.Option(
            "--sinks",
            help="It has attention sinks: an argument with a score for "
            "each head, which takes a share and gives nothing.",
        ),
    ] = False,
    dtype: Annotated[
        list[Dtype] | None,
        typer.Option(
            metavar="TYPE",
            help="Precision to judge a function of query, key and value "
            "in: float32, bfloat16 or float16; may be given several times, "
            "for a verdict each. Default: float32, or 16 bits where that "
            "is refused.",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            help="Where a kernel in bfloat16 or float16 rounds, in place "
            "of what probes find; it fails if it rounds more.",
            show_default=False,
        ),
    ] = "",
    device: Annotated[
        str,
        typer.Option(
            help="Device of the inputs, as PyTorch or JAX calls it, such "
            "as cuda; outputs are brought back.",
            show_default=False,
        ),
    ] = "",
    reference: Annotated[
        str,
        typer.Option(
            metavar="FILE:FUNCTION",
            help="Compare with a function that you trust, in place of the "
            "definition of attention.",
            show_default=False,
        ),
    ] = "",
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
    as_text: Annotated[
        bool,
        typer.Option(
            "--text",
            help="Print plain text, as where there is no terminal.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, one row per verdict.")
    ] = False,
) -> None:
    if sys.flags.optimize > 1:
        raise ValueError(
            "expected Python without -OO, which removes the docstrings "
            "that a report quotes, got -OO"
        )
    expect_installed()
    files = [path for path in files if not is_folder(path)]
    if not files:
        raise ValueError("expected at least one file, got only folders")
    if len(files) == 1 and not is_there(files[0]):
        raise ValueError(f"expected a file, got {printable(files[0])}")
    check_role(role)
    if reference:
        from parity_tests.judge.files.comparing import named_reference

        named_reference(reference)
    dtypes = tuple(dict.fromkeys(each.value for each in dtype or ()))
    if Dtype.bfloat16 in dtypes and find_spec("ml_dtypes") is None:
        name = "ml_dtypes"
        raise ModuleNotFoundError(f"No module named {name}", name=name)
    if profile:
        from parity_tests.judge.half.words import profile_from

        dtypes = dtypes or (profile_from(profile).dtype,)
    if reference and (dtypes or device):
        option = "--dtype" if dtypes else "--device"
        raise ValueError(
            f"expected --reference or {option}, got both: a reference is "
            "compared with in the precision that both take"
        )
    if examples is not None and examples < 1:
        raise ValueError(
            f"expected --examples to be at least 1, got {examples}"
        )
    if as_text + as_json + as_csv > 1:
        options = {"--text": as_text, "--json": as_json, "--csv": as_csv}
        *others, last = [name for name, is_set in options.items() if is_set]
        raise ValueError(
            f"expected {', '.join(others)} or {last}, got "
            f"{'both' if len(others) == 1 else 'all'}"
        )
    default = THOROUGH_SECONDS if thorough else SECONDS
    seconds = default if timeout is None else timeout
    check_positive("--timeout", seconds)
    check_positive("--memory", memory)
    request = Request(
        role,
        array and array.value,
        mask and MASKS[mask],
        alignment and ALIGNMENTS[alignment],
        fully_masked and fully_masked.value,
        beside_of(window, soft_cap, alibi, sinks),
        examples or (1000 if thorough else 25),
        seed,
        seconds,
        memory,
        reference,
        dtypes,
        profile,
        device,
    )
    with Progress(len(files)) as progress:
        judged = judge_files(files, request, progress.report)
    if as_json:
        print_json(judged)
    elif as_csv:
        print_csv(judged)
    elif len(judged) > 1:
        print_table(judged, as_text)
    else:
        print_report(judged[0], as_text)
    raise typer.Exit(exit_code(judged))


def beside_of(
    window: int | None, soft_cap: float | None, alibi: bool, sinks: bool
) -> dict:
    """What an attention is said to do beside plain attention, as fields
    of the judge's `Variant`. Raises ValueError for numbers that are none.
    """
    beside: dict = {}
    if window is not None:
        if not 1 <= window <= LONGEST:
            raise ValueError(
                f"expected --window of 1 to {LONGEST:,} keys, got {window}"
            )
        beside["window"] = window
    if soft_cap is not None:
        check_positive("--soft-cap", soft_cap)
        beside["cap"] = soft_cap
    if alibi:
        beside["alibi"] = ("code", "signed")
    if sinks:
        beside["sinks"] = (0.0,)
    return beside


def exit_code(judged: list[JudgedFile]) -> int:
    """0 where all holds, 1 for something rejected, 2 for something open."""
    if any(file.verdict == "rejected" for file in judged):
        return 1
    return 2 if any(file.is_open for file in judged) else 0


def expect_installed() -> None:
    """Raise ModuleNotFoundError for what the judge needs and lacks."""
    for name in ("torch", "hypothesis", "mpmath"):
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name}", name=name)


def is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # it costs its own row only
        return False


def is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return True


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
    from parity_tests.judge.classes.layer import ROLES
    from parity_tests.judge.files.judging import (
        ALIASES,
        ATTENTION,
        judged_names,
    )

    common = [*ROLES, ATTENTION]
    if role not in (*common, *ALIASES, *judged_names()):
        raise ValueError(
            f"expected --as to be one of {', '.join(common)}, or the name "
            f"of another step of numpy_ref, got {printable(role)}"
        )
