"""The figure of half precision: a weight, a sum, and attention.

    python -m study.figures.half_precision

draws `docs/half_precision.png` again.
"""

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from bert_viz.plots.saving import file_of
from numpy_ref.files import write_file
from numpy_ref.variants.half_precision import round_to
from parity_tests.claims.half_precision import (
    ALLOWED,
    errors,
    running_sums,
)

from .texts import HOUSE

FILE = HOUSE / "docs" / "half_precision.png"
BLUE, ORANGE, GREY = "#1f77b4", "#d95f02", "#666666"
COLOURS = {"bfloat16": ORANGE, "float16": BLUE}
BITS = {"bfloat16": 8, "float16": 11}
TERMS = 1000
SIZES = np.geomspace(0.25, 16, 13)
TITLE = "Where half precision loses its digits"
DESCRIPTION = (
    "Three plots. A weight near 4/7, rounded: in bfloat16 a staircase "
    "whose steps are 0.004 wide, in float16 one that is hardly seen. A "
    "thousand weights of 1/1000, added one by one: in float32 their sum "
    "goes along a line to 1, in bfloat16 it bends and then stays at 0.5. "
    "The largest error of attention over the size of its scores, in "
    "bfloat16: rounded once it stays near 0.01, rounded within it grows "
    "with the scores, and a wrong kernel, whose scale is off by 1 %, "
    "begins above the right one that rounds within and ends below it."
)


def plot() -> Figure:
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    weight, total, attention = figure.subplots(1, 3)
    plot_weight(weight)
    plot_sum(total)
    plot_attention(attention)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return figure


def plot_weight(axes) -> None:
    """Weights near 4/7, and what they are rounded to."""
    weights = np.linspace(4 / 7 - 0.012, 4 / 7 + 0.012, 2001)
    axes.plot(weights, weights, color=GREY, linewidth=1, label="float32")
    for half in reversed(BITS):
        rounded = round_to(weights, BITS[half])
        name = f"{half}: {BITS[half]} bits"
        axes.plot(weights, rounded, color=COLOURS[half], label=name)
    axes.set(title="a weight near 4/7, rounded", xlabel="weight")


def plot_sum(axes) -> None:
    """Equal weights, added one by one."""
    count = np.arange(1, TERMS + 1)
    axes.plot(count, count / TERMS, color=GREY, label="float32")
    for half in reversed(BITS):
        sums = running_sums(half, TERMS)
        axes.plot(count, sums, color=COLOURS[half], label=half)
    axes.set(
        title=f"{TERMS:,} weights of 1/{TERMS}, added one by one",
        xlabel="weights added",
    )


def plot_attention(axes) -> None:
    """The largest error over the size of the scores, in bfloat16."""
    found = [errors(size) for size in SIZES]
    lines = {
        "right: rounded within": ("within", ORANGE, "-"),
        "right: rounded once": ("once", BLUE, "-"),
        "wrong: scale off by 1 %": ("wrong", "black", ":"),
    }
    for label, (name, colour, dashes) in lines.items():
        heights = [getattr(each, name) for each in found]
        axes.plot(SIZES, heights, dashes, color=colour, label=label)
    axes.axhline(ALLOWED, color=GREY, linewidth=1, label=f"{ALLOWED:g}")
    axes.set(
        xscale="log",
        yscale="log",
        title="attention in bfloat16: largest error",
        xlabel="standard deviation of the scores",
    )


def plot_file(suffix: str = ".png") -> bytes:
    """The figure as a file of that suffix."""
    with style.context("default"):
        return file_of(plot(), suffix, TITLE, DESCRIPTION)


if __name__ == "__main__":
    write_file(FILE, plot_file())
