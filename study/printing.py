"""A walk as lines for a terminal."""

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parity_tests.comparing import Comparison

from .spelling import as_encodable
from .walk import Shown, Walk, a_row_of, sizes

SIDE_BY_SIDE = 110  # columns from which both sides stand abreast
SINGULAR = {"queries": "query", "entries": "entry"}


def print_walk(walk: Walk, detail: str, console: Console) -> None:
    """Every stop of the walk, and the verdict in one line.

    `detail` is "brief" for a line each, "steps" for code and values, and
    "every" for that and all other named steps that were compared.
    """
    console.print(text(walk.about, console))
    if detail == "brief":
        rows = [(one.stop.title, one.comparison) for one in walk.shown]
        console.print(differences(rows))
    else:
        for number, one in enumerate(walk.shown, start=1):
            print_heading(number, one, console)
            print_both_sides(one, console)
            print_difference(one.comparison, console)
    if detail == "every":
        console.print()
        console.print(differences([(c.path, c) for c in walk.comparisons]))
    print_verdict(walk, console)


def print_verdict(walk: Walk, console: Console) -> None:
    """What does not hold, if anything; then one line on all there was."""
    for comparison in walk.comparisons:
        if not comparison.holds:
            line = text(str(comparison), console, "red")
            console.print(line, soft_wrap=True)
    console.print()
    console.print(Text(verdict(walk), "bold"), soft_wrap=True)


def verdict(walk: Walk) -> str:
    """How much was compared, how near a bound it came, and the word."""
    tally = walk.tally
    agree = "agree" if tally.holds else "DIFFER"
    wide = f" (too wide a bound: {tally.wide})" if tally.wide else ""
    return (
        f"{tally.compared} named steps compared{wide}; worst difference "
        f"{tally.worst.share:.0%} of its bound; NumPy and PyTorch {agree}."
    )


def print_heading(number: int, one: Shown, console: Console) -> None:
    """Name, equation, and the shape in words."""
    pairs = zip(sizes(one.comparison.ours), one.stop.axes, strict=True)
    words = [
        f"{size:,} {axis if size != 1 else singular(axis)}"
        for size, axis in pairs
    ]
    shape = text(" × ".join(words), console, "dim")
    console.print()
    console.print(
        text(f"{number:2}  {one.stop.title}", console, "bold cyan")
    )
    console.print(indented(text(one.stop.equation, console)))
    console.print(indented(shape))


def print_both_sides(one: Shown, console: Console) -> None:
    """The code line and a few values, NumPy's and PyTorch's."""
    ours, at = a_row_of(one.comparison.ours)
    theirs, _ = a_row_of(one.comparison.theirs)
    where = f"values at {place(one.stop.axes, at)}" if at else ""
    lines = one.numpy_line, one.torch_line
    abreast = console.width >= SIDE_BY_SIDE
    room = console.width // 2 - 4 if abreast else console.width - 14
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
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for side in ("NumPy", "PyTorch"):
        grid.add_column(side, ratio=1)
    grid.add_row("NumPy", "PyTorch", style="dim")
    grid.add_row(*(text(line, console) for line in lines))
    if where:
        grid.add_row(*[Text(where, "dim")] * 2)
    grid.add_row(*(text(value, console) for value in values))
    return grid


def print_difference(comparison: Comparison, console: Console) -> None:
    """The largest difference and its bound, or that there is none."""
    line = (
        f"largest difference {comparison.difference:.2g}, "
        f"bound {comparison.bound:.2g}"
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
            f"{comparison.share:.1%}",
            style="" if comparison.holds else "red",
        )
    return table


def text(line: str, console: Console, style: str = "") -> Text:
    """A line as the stream can encode it, before widths are counted."""
    return Text(as_encodable(line, console.encoding), style)


def indented(*lines) -> Padding:
    return Padding(Group(*lines), (0, 0, 0, 4), expand=False)


def entries(values: list, room: int = 10**6) -> str:
    """The entries there is room for, and a sign when some are left."""
    words = [entry(value) for value in values]
    for count in range(len(words), 0, -1):
        more = " ..." if count < len(words) else ""
        line = " ".join(words[:count]) + more
        if len(line) <= room:
            return line
    return "..."


def entry(value) -> str:
    if isinstance(value, float):
        return f"{value:9.5f}"
    return repr(value) if isinstance(value, str) else f"{int(value)}"


def place(axes: tuple[str, ...], at: tuple[int, ...]) -> str:
    """Where a row stands: "window 0, head 0, query 2"."""
    pairs = zip(axes, at, strict=False)
    return ", ".join(f"{singular(axis)} {index}" for axis, index in pairs)


def singular(axis: str) -> str:
    return SINGULAR.get(axis, axis.removesuffix("s"))
