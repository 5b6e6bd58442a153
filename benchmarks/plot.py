"""Plots of growth: time and memory by the length, on logarithmic axes."""

from io import BytesIO

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from .growth import exponent, lines
from .races import Row

WHAT = {"times": "seconds", "peaks": "MB beyond the inputs"}
MARKS = "osD^vP"


def growth_plot(rows: list[Row], suffix: str) -> bytes:
    """A picture file: one axes for time, one for memory, and in each the
    exponent of every side."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, (of, label) in zip(
        figure.subplots(1, 2), WHAT.items(), strict=True
    ):
        by_side = lines(rows, of)
        for mark, (side, line) in zip(MARKS, by_side.items(), strict=False):
            power = exponent(line)
            told = "" if power is None else f", n to the {power:.1f}"
            axes.loglog(*zip(*line.items(), strict=True), f"{mark}-")
            axes.lines[-1].set_label(f"{side}{told}")
        lengths = sorted({n for line in by_side.values() for n in line})
        axes.set_xticks(lengths)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda n, _: f"{n:,.0f}")
        )
        axes.tick_params(axis="x", rotation=45)
        axes.set_xlabel("tokens")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if by_side:
            axes.legend()
    file = BytesIO()
    figure.savefig(file, format=suffix.lstrip("."), dpi=150)
    return file.getvalue()
