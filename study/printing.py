"""A walk as lines for a terminal, or as JSON for a machine."""

from fractions import Fraction
from math import log

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from numpy_ref import example
from parity_tests.comparing import Comparison

from .spelling import as_encodable
from .walk import Shown, Walk, a_row_of, sizes

WIDE = 110  # columns from which both sides stand beside each other
MARGIN = "    "

# How the example's values are written, and what the pencil found.
BY_HAND = {
    "queries": (2**0.5 * log(2), " √(2) ln 2", None),
    "scores": (log(2), " ln 2", example.SCORES_IN_LN_2),
    "weights": (1, "", example.WEIGHTS),
    "context": (1, "", example.CONTEXT),
}


def print_walk(walk: Walk, detail: str, console: Console) -> None:
    """Every stop of the walk, and the verdict in one line.

    `detail` is "brief" for a line each, "steps" for code and values, and
    "every" for that and all other named steps that were compared.
    """
    say(console, Text(walk.about))
    if detail == "brief":
        rows = [(one.stop.title, one.comparison) for one in walk.shown]
        console.print(table(rows))
    else:
        for number, one in enumerate(walk.shown, start=1):
            print_stop(number, one, console)
    if detail == "every":
        rows = [(one.path, one) for one in walk.comparisons]
        console.print(table(rows))
    for comparison in walk.comparisons:
        if not comparison.holds:
            say(console, Text(str(comparison), "red"))
    console.print()
    console.print(Text(verdict(walk), "bold"), soft_wrap=True)


def print_example(walk: Walk, console: Console) -> None:
    """The example by hand: all values, and the fractions beside them."""
    say(console, Text(walk.about))
    for name, row in zip(example.TOKENS, example.X, strict=True):
        say(console, Text(f"{MARGIN}{name:6} {entries(row.tolist())}"))
    for number, one in enumerate(walk.shown, start=1):
        print_heading(number, one, console)
        print_by_hand(one, console)
        print_difference(one.comparison, console)
    console.print()
    console.print(Text(verdict(walk), "bold"), soft_wrap=True)


def verdict(walk: Walk) -> str:
    """How much was compared, how near a bound it came, and the word."""
    agree = "agree" if walk.tally.holds else "DIFFER"
    worst = walk.tally.worst.share
    return (
        f"{walk.tally.compared} named steps compared; worst difference "
        f"{worst:.0%} of its bound; NumPy and PyTorch {agree}."
    )


def as_json(walk: Walk) -> dict:
    """The same for machines; an infinite share stands as null."""
    return {
        "about": walk.about,
        "steps": [step_as_json(one) for one in walk.shown],
        "compared": walk.tally.compared,
        "too_wide_to_check": walk.tally.wide,
        "worst_share": finite(walk.tally.worst.share),
        "worst_path": walk.tally.worst.path,
        "agree": walk.tally.holds,
    }


def step_as_json(one: Shown) -> dict:
    comparison = one.comparison
    values, at = a_row_of(comparison.ours)
    return {
        "name": one.stop.title,
        "path": comparison.path,
        "equation": one.stop.equation,
        "shape": sizes(comparison.ours),
        "axes": one.stop.axes,
        "numpy_line": one.numpy_line,
        "torch_line": one.torch_line,
        "values_at": at,
        "numpy_values": values[:8],
        "torch_values": a_row_of(comparison.theirs)[0][:8],
        "difference": finite(comparison.difference),
        "bound": comparison.bound,
        "share": finite(comparison.share),
    }


def finite(number: float) -> float | None:
    return number if np.isfinite(number) else None


def say(console: Console, text: Text) -> None:
    """Print a text as the stream can encode it, widths counted after."""
    shown = as_encodable(text.plain, console.encoding)
    console.print(Text(shown, text.style))


def print_stop(number: int, one: Shown, console: Console) -> None:
    print_heading(number, one, console)
    ours, at = a_row_of(one.comparison.ours)
    theirs, _ = a_row_of(one.comparison.theirs)
    where = f" at {place(one.stop.axes, at)}" if at else ""
    sides = [
        ("NumPy", one.numpy_line, ours),
        ("PyTorch", one.torch_line, theirs),
    ]
    if console.width >= WIDE:
        print_beside(sides, where, console)
    else:
        print_below(sides, where, console)
    print_difference(one.comparison, console)


def print_heading(number: int, one: Shown, console: Console) -> None:
    shape = sizes(one.comparison.ours)
    words = [
        f"{size:,} {axis if size != 1 else singular(axis)}"
        for size, axis in zip(shape, one.stop.axes, strict=True)
    ]
    console.print()
    say(console, Text(f"{number:2}  {one.stop.title}", "bold cyan"))
    say(console, Text(MARGIN + one.stop.equation))
    say(console, Text(MARGIN + " × ".join(words), "dim"))


def print_below(sides, where: str, console: Console) -> None:
    for name, line, _ in sides:
        say(console, Text(f"{MARGIN}{name:8} {line}"))
    if where:
        say(console, Text(f"{MARGIN}values{where}", "dim"))
    for name, _, values in sides:
        room = console.width - len(MARGIN) - 10
        say(console, Text(f"{MARGIN}{name:8} {entries(values, room)}"))


def print_beside(sides, where: str, console: Console) -> None:
    half = (console.width - len(MARGIN) - 3) // 2
    grid = Table.grid(padding=(0, 3, 0, 0))
    for _ in sides:
        grid.add_column(width=half)
    encoding = console.encoding
    for cells in (
        [Text(f"{name}{where}", "dim") for name, _, _ in sides],
        [line for _, line, _ in sides],
        [entries(values, half) for _, _, values in sides],
    ):
        grid.add_row(
            *(
                Text(
                    as_encodable(str(cell), encoding),
                    getattr(cell, "style", ""),
                )
                for cell in cells
            )
        )
    margin = Table.grid()
    margin.add_column(width=len(MARGIN))
    margin.add_row("", grid)
    console.print(margin)


def print_difference(comparison: Comparison, console: Console) -> None:
    style = "green" if comparison.holds else "bold red"
    say(console, Text(MARGIN + difference(comparison), style))


def difference(comparison: Comparison) -> str:
    """The largest difference and its bound; in words where it is 0."""
    if comparison.bound == 0:
        return "equal on both sides" if comparison.holds else "NOT equal"
    return (
        f"largest difference {comparison.difference:.2g}, "
        f"bound {comparison.bound:.2g}"
    )


def print_by_hand(one: Shown, console: Console) -> None:
    """All rows of a small array, with what the pencil found for each."""
    unit, name, pencil = BY_HAND.get(one.stop.title, (1, "", None))
    rows = zip(one.comparison.ours, one.comparison.theirs, strict=True)
    for token, (ours, theirs) in zip(example.TOKENS, rows, strict=True):
        by_hand = [fraction(entry / unit) for entry in ours.tolist()]
        number = example.TOKENS.index(token)
        if pencil is not None:
            by_hand = [str(Fraction(entry)) for entry in pencil[number]]
        hand = " ".join(f"{entry:>4}" for entry in by_hand) + name
        say(console, Text(f"{MARGIN}{token:6} {hand}", "bold"))
        say(
            console,
            Text(f"{MARGIN}  NumPy    {entries(ours.tolist())}", "dim"),
        )
        say(
            console,
            Text(f"{MARGIN}  PyTorch  {entries(theirs.tolist())}", "dim"),
        )


def fraction(value: float) -> str:
    """The fraction with a small denominator that the value is near."""
    return str(Fraction(value).limit_denominator(100))


def entries(values: list, room: int = 10**6) -> str:
    """As many entries as there is room for, and a sign when some are left."""
    words = [entry(value) for value in values]
    shown, used = [], 0
    for word in words:
        used += len(word) + 1
        if used > room - 4:
            return " ".join([*shown, "..."])
        shown.append(word)
    return " ".join(shown)


def entry(value) -> str:
    if isinstance(value, float):
        return f"{value:9.5f}"
    return repr(value) if isinstance(value, str) else f"{int(value)}"


def place(axes: tuple[str, ...], at: tuple[int, ...]) -> str:
    """Where a row stands: "window 0, head 0, query 2"."""
    pairs = zip(axes, at, strict=False)
    return ", ".join(f"{singular(axis)} {index}" for axis, index in pairs)


def singular(axis: str) -> str:
    return {"queries": "query", "entries": "entry"}.get(
        axis, axis.rstrip("s")
    )


def table(rows: list[tuple[str, Comparison]]) -> Table:
    """A line for each step: name, difference, bound, share of it."""
    grid = Table(box=None, pad_edge=False)
    grid.add_column("step", overflow="fold")
    for title in ("difference", "bound", "share"):
        grid.add_column(title, justify="right", no_wrap=True)
    for name, comparison in rows:
        grid.add_row(
            Text(name),
            f"{comparison.difference:.2g}",
            f"{comparison.bound:.2g}",
            Text(
                f"{comparison.share:.1%}", "" if comparison.holds else "red"
            ),
        )
    return grid
