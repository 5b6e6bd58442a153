"""What the races have shown: a table for the terminal, and JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median

from rich.table import Table

from .machine import Machine
from .races import Row

OF_A_ROW = ("ratio", "from - to", "reach", "of the limit", "MB")
UNITS = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))


def table_of(title: str, rows: Sequence[Row]) -> Table:
    """Medians of the sides, ours first, and ratios with their spread; no
    column without a cell."""
    table = Table(title=title, title_justify="left")
    sides = list(dict.fromkeys(side for row in rows for side in row.times))
    lines = [
        (
            row.work,
            *(in_units(row.times.get(side)) for side in sides),
            *ratio_cells(row),
            *limit_cells(row),
        )
        for row in rows
    ]
    columns = zip(*lines, strict=True)
    shown = [
        (name, cells)
        for name, cells in zip(
            ("work", *sides, *OF_A_ROW), columns, strict=True
        )
        if any(cells)
    ]
    for name, _ in shown:
        table.add_column(
            name, justify="left" if name == "work" else "right"
        )
    for line in zip(*(cells for _, cells in shown), strict=True):
        table.add_row(*line)
    return table


def in_units(times: list[float] | None) -> str:
    """The median, in the unit that leaves it at least 1.

    >>> in_units([0.25, 0.0031, 0.002])
    '3.10 ms'
    """
    if not times:
        return ""
    value = median(times)
    size, unit = next((u for u in UNITS if value >= u[0]), UNITS[-1])
    return f"{value / size:.3g} {unit}"


def ratio_cells(row: Row) -> tuple[str, str, str]:
    """Our time by the second side's: median, quartiles, what to reach."""
    if not row.ratios:
        return "", "", ""
    low, high = quartiles(row.ratios)
    reach = "" if row.reach is None else f"≤ {row.reach:.2g}"
    return f"{median(row.ratios):.2f}", f"{low:.2f} - {high:.2f}", reach


def quartiles(numbers: list[float]) -> tuple[float, float]:
    """Between which the middle half of them lies.

    >>> quartiles([4, 1, 3, 2, 5])
    (2, 4)
    """
    ordered = sorted(numbers)
    cut = len(ordered) // 4
    return ordered[cut], ordered[-1 - cut]


def limit_cells(row: Row) -> tuple[str, str]:
    """Our share of what the machine allows, and everybody's memory."""
    ours = next(iter(row.times))
    share = row.share(ours)
    told = "" if share is None else f"{share:.0%} ({row.limit[0]})"
    peaks = " / ".join(f"{peak:.0f}" for peak in row.peaks.values())
    return told, peaks


def about(machine: Machine, rounds: int, busy: str) -> str:
    """The machine in words, and whether it can be believed."""
    threads = ", ".join(
        f"{n} {count}" for n, count in machine.threads.items()
    )
    versions = ", ".join(f"{n} {v}" for n, v in machine.versions.items())
    settings = "".join(f"; {n}={v}" for n, v in machine.settings.items())
    lines = [
        f"{machine.processor}, {machine.cores} cores; products at "
        f"{machine.product_rate / 1e9:.0f} GF/s, memory read at "
        f"{machine.read_rate / 2**30:.1f} GiB/s",
        f"threads: {threads}; {versions}{settings}",
        f"{rounds} rounds at most, medians, and the middle half of the "
        "ratios; MB: what one call needs at most, side by side",
    ]
    if busy:
        lines.append(f"the machine was too busy to be believed: {busy}")
    return "\n".join(lines)


def as_json(
    machine: Machine, tables: dict[str, list[Row]], busy: str
) -> dict:
    """All that was measured, with what is shown of it."""
    return {
        "machine": asdict(machine),
        "too busy": busy,
        "tables": {
            name: [in_full(row) for row in rows]
            for name, rows in tables.items()
        },
    }


def in_full(row: Row) -> dict:
    """A row, and what follows from its numbers."""
    ratio = median(row.ratios) if row.ratios else None
    shares = {side: row.share(side) for side in row.times}
    return asdict(row) | {"ratio": ratio, "shares of the limit": shares}
