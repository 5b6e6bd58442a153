"""The worked example: every value beside the one found by hand."""

from rich.console import Console
from rich.table import Table

from numpy_ref import example

from .printing import (
    entry,
    indented,
    print_difference,
    print_heading,
    print_verdict,
    text,
)
from .run import Shown, Walk

# What a pencil finds at each stop.
PENCIL = {
    "queries": example.QUERIES,
    "keys": example.KEYS,
    "values": example.VALUES,
    "scores": example.SCORES_IN_LN_2,
    "mask": example.MASK.astype(int).tolist(),
    "weights": example.WEIGHTS,
    "context": example.CONTEXT,
}

GIVEN = """\
    X =  1  0  (x0)   W_Q = 1 1 times √(2) ln 2   W_K = 1 0   W_V = 1 2
         0  1  (x1)         0 1                         0 1         3 4
         1  1  (x2)
         1 -1  (x3)
By hand: x2 times W_Q is the query (1 2), in units of √(2) ln 2. With the
key of x1, (0 1), its score is 1 times 0 plus 2 times 1, so 2, in units of
ln 2. With x0, x1, x2 the scores are 1, 2, 3; the exponentials 2, 4, 8."""


def print_example(walk: Walk, console: Console) -> None:
    """Every stop, token by token, and the verdict in one line."""
    console.print(text(walk.about, console))
    console.print(text(GIVEN, console))
    for index, shown in enumerate(walk.shown, start=1):
        print_heading(index, shown, console)
        console.print(indented(rows(shown)))
        print_difference(shown.comparison, console)
    print_verdict(walk, console)


def rows(shown: Shown) -> Table:
    """For each token: by hand, in NumPy, in PyTorch."""
    pencil = PENCIL[shown.stop.title]
    table = Table.grid(padding=(0, 2, 0, 0))
    for column in range(2 + len(pencil[0])):
        table.add_column(justify="left" if column < 2 else "right")
    sides = zip(
        example.TOKENS,
        pencil,
        shown.comparison.ours.tolist(),
        shown.comparison.theirs.tolist(),
        strict=True,
    )
    for token, by_hand, ours, theirs in sides:
        table.add_row(token, "by hand", *map(str, by_hand), style="bold")
        table.add_row("", "NumPy", *map(entry, ours), style="dim")
        table.add_row("", "PyTorch", *map(entry, theirs), style="dim")
    return table
