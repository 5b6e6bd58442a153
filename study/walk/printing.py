"""Printing a walk: lines for a terminal."""

from bisect import bisect_right
from itertools import accumulate

from rich.cells import cell_len
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parity_tests.twins.comparing import Comparison

from ..text.spelling import as_encodable, shortened
from .run import Shown, Walk, a_row_of, sizes

SIDE_BY_SIDE = 110  # columns from which both sides stand abreast
MOST_CHARACTERS = 24  # of a token that is shown
SINGULAR = {
    "queries": "query",
    "entries": "entry",
    "vocabulary entries": "vocabulary entry",
}


def print_walk(walk: Walk, detail: str, console: Console) -> None:
    """Every stop of the walk, and the verdict in one line.

    `detail` is "brief" for a line per stop, "steps" for code and values,
    and "every" for that and all other named steps that were compared.
    """
    console.print(text(walk.about, console))
    print_tokens(walk, console)
    if detail == "brief":
        rows = [
            (shown.stop.title, shown.comparison) for shown in walk.shown
        ]
        console.print(differences(rows))
    else:
        for index, shown in enumerate(walk.shown, start=1):
            print_heading(index, shown, console)
            print_both_sides(shown, console)
            print_difference(shown.comparison, console)
    if detail == "every":
        console.print()
        console.print(differences([(c.path, c) for c in walk.comparisons]))
    for line in walk.guesses:
        console.print(indented(text(line, console)))
    print_verdict(walk, console)


def print_tokens(walk: Walk, console: Console) -> None:
    """The first tokens, and one word merge by merge."""
    rows = {"tokens": walk.tokens, "ids": walk.ids}
    if walk.segments:
        rows["segments"] = walk.segments
    for name, values in rows.items():
        line = entries(values, console.width - 14)
        console.print(indented(text(f"{name:8} {line}", console)))
    for index, row in enumerate(walk.merging):
        label = "merging  " if index == 0 else "         "
        console.print(indented(text(f"{label}{row!r}", console)))


def print_verdict(walk: Walk, console: Console) -> None:
    """The steps that differ, if any; then one line about all of them."""
    for comparison in walk.comparisons:
        if not comparison.holds:
            line = text(str(comparison), console, "red")
            console.print(line, soft_wrap=True)
    console.print()
    console.print(text(verdict(walk), console, "bold"), soft_wrap=True)


def verdict(walk: Walk) -> str:
    """How much was compared, how near to a bound it came, the verdict.

    Loosely: within a bound too wide to say much. That happens to steps
    that sum up many others, which were each held to a bound of their own.
    """
    tally = walk.tally
    agree = "both sides agree" if tally.holds else "THEY DIFFER"
    wide = f" ({tally.wide} loosely)" if tally.wide else ""
    return (
        f"{tally.compared} named steps compared{wide}, worst at "
        f"{tally.worst.share:.0%} of its bound: {agree}"
    )


def print_heading(index: int, shown: Shown, console: Console) -> None:
    """Name, equation, and the shape in words."""
    pairs = zip(sizes(shown.comparison.ours), shown.stop.axes, strict=True)
    words = [
        f"{size:,} {axis if size != 1 else singular(axis)}"
        for size, axis in pairs
    ]
    shape = text(" × ".join(words), console, "dim")
    console.print()
    title = text(f"{index:2}  {shown.stop.title}", console, "bold cyan")
    console.print(title + Text(f"  {shown.where}", "dim"))
    console.print(indented(text(shown.stop.equation, console)))
    console.print(indented(shape))


def print_both_sides(shown: Shown, console: Console) -> None:
    """The code and a few values, NumPy's and PyTorch's."""
    ours, at = a_row_of(shown, shown.comparison.ours)
    theirs, _ = a_row_of(shown, shown.comparison.theirs)
    where = f"at {position(shown.stop.axes, at)}" if at else ""
    lines = "\n".join(shown.numpy_lines), "\n".join(shown.torch_lines)
    abreast = console.width >= SIDE_BY_SIDE
    room = half(console) if abreast else console.width - 14
    values = entries(ours, room), entries(theirs, room)
    show = abreast_table if abreast else stacked_table
    console.print(indented(show(lines, where, values, console)))


def stacked_table(lines, where: str, values, console: Console) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    sides = ("NumPy", "PyTorch")
    for side, line in zip(sides, lines, strict=True):
        grid.add_row(side, text(line, console))
    if where:
        grid.add_row("", Text(where, "dim"))
    for side, value in zip(sides, values, strict=True):
        grid.add_row(side, text(value, console))
    return grid


def abreast_table(lines, where: str, values, console: Console) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for side in ("NumPy", "PyTorch"):
        grid.add_column(side, width=half(console))
    grid.add_row("NumPy", "PyTorch", style="dim")
    grid.add_row(*(text(line, console) for line in lines))
    if where:
        grid.add_row(*[Text(where, "dim")] * 2)
    grid.add_row(*(text(value, console) for value in values))
    return grid


def half(console: Console) -> int:
    """The columns for one of two sides."""
    return (console.width - 8) // 2


def print_difference(comparison: Comparison, console: Console) -> None:
    """The largest difference and its bound, or that there is none."""
    line = (
        f"largest difference {comparison.difference:.2g}, "
        f"bound {comparison.bound:.2g}" + " (loose)" * comparison.is_wide
    )
    if comparison.bound == 0 and comparison.holds:
        line = "equal on both sides"
    style = "green" if comparison.holds else "bold red"
    console.print(indented(Text(line, style)))


def differences(rows: list[tuple[str, Comparison]]) -> Table:
    """A line for each step: name, difference, bound, share of it."""
    table = Table(box=None, pad_edge=False)
    table.add_column("step", overflow="fold")
    for title in ("difference", "bound", "share"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, comparison in rows:
        table.add_row(
            name,
            f"{comparison.difference:.2g}",
            f"{comparison.bound:.2g}",
            f"{comparison.share:.1%}" + " (loose)" * comparison.is_wide,
            style="" if comparison.holds else "red",
        )
    return table


def text(line: str, console: Console, style: str = "") -> Text:
    """A line as the stream can encode it, before widths are counted."""
    return Text(as_encodable(line, console.encoding), style)


def indented(*lines) -> Padding:
    return Padding(Group(*lines), (0, 0, 0, 4), expand=False)


def entries(values: list, room: int = 10**6) -> str:
    """As many entries as there is room for; dots stand for the rest."""
    words = [entry(value) for value in values]
    ends = [*accumulate(cell_len(f" {word}") for word in words)]
    if words and ends[-1] <= room + 1:  # the first has no space before it
        return " ".join(words)
    count = bisect_right(ends, room + 1 - len(" ..."))
    return " ".join([*words[:count], "..."])


def entry(value) -> str:
    if isinstance(value, float):
        return f"{value:9.5f}"
    if isinstance(value, str):
        return repr(shortened(value, MOST_CHARACTERS))
    return f"{int(value)}"


def position(axes: tuple[str, ...], at: tuple[int, ...]) -> str:
    """Where a row stands: "window 0, head 0, query 2"."""
    pairs = zip(axes, at, strict=False)
    return ", ".join(f"{singular(axis)} {index}" for axis, index in pairs)


def singular(axis: str) -> str:
    return SINGULAR.get(axis, axis.removesuffix("s"))
