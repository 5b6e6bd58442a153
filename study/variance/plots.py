"""The plot of `twice variance`: the square root of d_k, in six panels."""

from collections.abc import Callable

import matplotlib
from matplotlib import style
from matplotlib.figure import Figure

from bert_viz.plots.saving import file_of

from .measures import OUTSIDE, TOKENS, Measures, share

BLUE, ORANGE, GREY = "#1f77b4", "#d95f02", "#666666"
COLOURS = {"bare": ORANGE, "scaled": BLUE}
NAMES = {"bare": "without the root", "scaled": "with 1/√d"}

TITLE = "The square root of d, with and without it"
DESCRIPTION = (
    "Six plots over d, the features of a query or a key, from 4 to 1024. "
    "The variance of q·k grows like d, and 1/√d brings it to 1. Without "
    "the root, one weight of 64 approaches 1 as d grows, the entropy of a "
    "row goes to 0, and the median gradient vanishes while the root mean "
    "square falls slowly or even grows; with it, all stay as they are."
)
CREATOR = "twice variance"


def plot_file(measures: Measures, suffix: str) -> bytes:
    """The plot as a file of that suffix: .png or .svg."""
    with style.context("default"):
        return file_of(plot(measures), suffix, TITLE, DESCRIPTION, CREATOR)


def plot(measures: Measures) -> Figure:
    figure = Figure(figsize=(14, 8.4), layout="constrained")
    above, below = figure.subplots(2, 3)
    plot_variance(above[0], measures)
    plot_rows(above[1], above[2], measures)
    plot_entropy(below[0], measures)
    plot_norms(below[1], measures, "jacobian")
    below[1].set_title("gradient through softmax: norm of ∂p/∂s")
    plot_norms(below[2], measures, "gradient")
    below[2].set_title("gradient of a query: norm of ∂o/∂q")
    for axes in (above[0], *below):
        over_widths(axes, measures)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"{TITLE}: random queries and keys, {measures.samples:,} pairs "
        f"for each d",
        fontsize=14,
    )
    return figure


def plot_variance(axes, measures: Measures) -> None:
    """What was measured, over what is claimed and what chance explains."""
    claims = {"bare": lambda d: d, "scaled": lambda d: 1}
    measured = {
        "bare": [width.variance for width in measures.widths],
        "scaled": [width.variance_of_scores for width in measures.widths],
    }
    for side, claim in claims.items():
        plot_claim(axes, measures, claim, COLOURS[side])
        axes.plot(
            widths(measures),
            measured[side],
            "o",
            markersize=5,
            color=COLOURS[side],
            label=NAMES[side],
        )
    axes.plot([], [], color=GREY, label="claimed: d and 1")
    axes.fill_between([], [], color=GREY, alpha=0.3, label=band_name())
    axes.set(yscale="log", title="variance of q·k, and of q·k/√d")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.13), frameon=False)


def plot_claim(
    axes, measures: Measures, claim: Callable[[int], float], colour: str
) -> None:
    claimed = [claim(d) for d in widths(measures)]
    low, high = (
        [edge * variance for variance in claimed] for edge in measures.band
    )
    axes.fill_between(
        widths(measures), low, high, color=colour, alpha=0.25, linewidth=0
    )
    axes.plot(widths(measures), claimed, color=colour, linewidth=0.8)


def band_name() -> str:
    return f"range by chance in {1 - OUTSIDE:.1%} of runs"


def plot_rows(left, right, measures: Measures) -> None:
    """One row of weights at several widths, largest first."""
    shades = matplotlib.colormaps["viridis"]
    ranks = range(1, TOKENS + 1)
    for index, (d_head, row) in enumerate(measures.rows.items()):
        shade = shades(0.9 * index / (len(measures.rows) - 1))
        for axes, weights in ((left, row.bare), (right, row.scaled)):
            axes.plot(
                ranks,
                weights,
                ".-",
                color=shade,
                linewidth=3 - 0.7 * index,
                markersize=9 - 2 * index,
                label=f"d = {d_head}",
            )
    left.set_title("one row of weights, without the root")
    right.set_title("the same row, with 1/√d")
    for axes in (left, right):
        axes.axhline(1 / TOKENS, color=GREY, linestyle="--", linewidth=0.8)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.set(
            ylim=(-0.02, 1.02),
            xlabel=f"{TOKENS} keys, largest first",
        )
        axes.legend(frameon=False)
    right.text(
        TOKENS, 0.035, f"equal weights: 1/{TOKENS}", color=GREY, ha="right"
    )


def plot_entropy(axes, measures: Measures) -> None:
    for side, colour in COLOURS.items():
        axes.plot(
            widths(measures),
            [share(getattr(width, side)) for width in measures.widths],
            "o-",
            color=colour,
            label=NAMES[side],
        )
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set(
        ylim=(0, 1.03), title="entropy of a row; 100% is equal weights"
    )
    axes.legend(frameon=False)


def plot_norms(axes, measures: Measures, name: str) -> None:
    """Median and root mean square of a gradient's norm."""
    styles = {
        "median": ("o-", "median"),
        "rms": ("s--", "root mean square"),
    }
    for side, colour in COLOURS.items():
        for kind, (line, words) in styles.items():
            axes.plot(
                widths(measures),
                [
                    getattr(getattr(width, side), f"{name}_{kind}")
                    for width in measures.widths
                ],
                line,
                color=colour,
                markersize=5,
                label=f"{words}, {NAMES[side]}",
            )
    axes.set(yscale="log")
    axes.legend(frameon=False)


def over_widths(axes, measures: Measures) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths(measures), map(str, widths(measures)))
    axes.minorticks_off()
    axes.set_xlabel("d, the number of features of a query or a key (d_k)")


def widths(measures: Measures) -> list[int]:
    return [width.d_head for width in measures.widths]
