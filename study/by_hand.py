"""The example by hand: every value, and what the pencil found beside it."""

from fractions import Fraction

from rich.console import Console
from rich.table import Table

from numpy_ref import example

from .printing import (
    entries,
    indented,
    print_difference,
    print_heading,
    print_verdict,
    text,
)
from .walk import Shown, Walk

# What the pencil found at each stop, and the unit it is written in.
PENCIL = {
    "queries": (example.QUERIES, "√(2) ln 2"),
    "keys": (example.KEYS, ""),
    "values": (example.VALUES, ""),
    "scores": (example.SCORES_IN_LN_2, "ln 2"),
    "mask": (example.MASK.astype(int).tolist(), ""),
    "weights": (example.WEIGHTS, ""),
    "context": (example.CONTEXT, ""),
}


def print_example(walk: Walk, console: Console) -> None:
    """Every stop, token by token, and the verdict in one line."""
    console.print(text(walk.about, console))
    tokens = Table.grid(padding=(0, 2, 0, 0))
    for name, row in zip(example.TOKENS, example.X, strict=True):
        tokens.add_row(name, entries(row.tolist()))
    console.print(indented(tokens))
    for number, one in enumerate(walk.shown, start=1):
        print_heading(number, one, console)
        console.print(indented(rows(one, console)))
        print_difference(one.comparison, console)
    print_verdict(walk, console)


def rows(one: Shown, console: Console) -> Table:
    """For each token: by hand, in NumPy, in PyTorch."""
    pencil, unit = PENCIL[one.stop.title]
    table = Table.grid(padding=(0, 2, 0, 0))
    sides = zip(
        example.TOKENS,
        pencil,
        one.comparison.ours.tolist(),
        one.comparison.theirs.tolist(),
        strict=True,
    )
    for token, by_hand, ours, theirs in sides:
        found = " ".join(f"{Fraction(entry)!s:>5}" for entry in by_hand)
        hand = text(f"{found} {unit}", console, "bold")
        table.add_row(token, "by hand", hand)
        table.add_row("", "NumPy", entries(ours), style="dim")
        table.add_row("", "PyTorch", entries(theirs), style="dim")
    return table
