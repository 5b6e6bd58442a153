"""Heat maps: an image, its colour bar, its numbers, what is masked.

A masked cell is no weight of 0: nobody could look there. It is grey and
hatched, and a legend says so.
"""

from collections.abc import Callable

import matplotlib
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from numpy import ndarray as Array

ABSENT = "#dddddd"  # where there is no number
HATCH = "#8a8a8a"  # the lines of masked cells
MOST_WRITTEN = 16  # rows or columns, up to which numbers are written
NUMBER_SIZE, LEAST_SIZE = 7.5, 6  # points
LUMINANCE = np.array((0.2126, 0.7152, 0.0722))  # of red, green and blue


def new_figure(width: float, height: float) -> Figure:
    """A figure in inches, unknown to pyplot and without a window."""
    return Figure(figsize=(width, height), layout="constrained")


def draw(
    axes: Axes,
    values: Float[Array, "row column"],
    least: float,
    most: float,
    colours: str = "viridis",
    aspect: str = "equal",
    absent: str = ABSENT,
) -> AxesImage:
    """Draw numbers as colours from `least` to `most`.

    NaN has the colour `absent`, and what is less than `least` light grey.
    """
    shades = matplotlib.colormaps[colours]
    return axes.imshow(
        values,
        cmap=shades.with_extremes(bad=absent, under=ABSENT),
        vmin=least,
        vmax=most,
        aspect=aspect,
        interpolation="nearest",  # no weight is mixed with its neighbours
    )


def mark_masked(
    image: AxesImage, masked: Bool[Array, "row column"]
) -> None:
    """Draw masked cells grey and hatched, with a legend, if there are any.

    Their numbers are taken from the image.
    """
    if not masked.any():
        return
    values = image.get_array().filled(np.nan)
    image.set_data(np.where(masked, np.nan, values))
    runs = Path.make_compound_path(*masked_runs(masked))
    hatch = {"hatch": "/////", "edgecolor": HATCH, "linewidth": 0}
    image.axes.add_patch(PathPatch(runs, facecolor="none", **hatch))
    say_masked(image.axes, **hatch)


def say_masked(axes: Axes, **look) -> None:
    """A legend below the colour bar: what masked cells look like."""
    axes.legend(
        handles=[Patch(facecolor=ABSENT, label="masked", **look)],
        loc="upper left",
        bbox_to_anchor=(1, 0),
        borderaxespad=0.2,
        handlelength=1.2,
        frameon=False,
        fontsize=8,
    )


def masked_runs(masked: Bool[Array, "row column"]) -> list[Path]:
    """A rectangle for each run of masked cells in a row."""
    ends = np.diff(masked.astype(int), axis=1, prepend=0, append=0)
    starts, stops = np.argwhere(ends == 1), np.argwhere(ends == -1)
    return [
        Path(
            [
                (start - 0.5, row - 0.5),
                (stop - 0.5, row - 0.5),
                (stop - 0.5, row + 0.5),
                (start - 0.5, row + 0.5),
                (start - 0.5, row - 0.5),
            ],
            closed=True,
        )
        for (row, start), (_, stop) in zip(starts, stops, strict=True)
    ]


def colour_bar(image: AxesImage, name: str) -> Colorbar:
    """A colour bar beside an image, and as high."""
    axes = image.axes
    axes.apply_aspect()
    inch = axes.figure.dpi / axes.get_window_extent().width
    beside = axes.inset_axes((1 + 0.12 * inch, 0, 0.16 * inch, 1))
    bar = axes.figure.colorbar(image, cax=beside)
    bar.set_label(name, fontsize=9)
    return bar


def write_numbers(
    image: AxesImage, text_of: Callable[[float], str] = "{:.2f}".format
) -> None:
    """Write each number into its cell, if cells are wide enough."""
    values = image.get_array().filled(np.nan)
    texts = {
        cell: text_of(value)
        for cell, value in np.ndenumerate(values)
        if np.isfinite(value)
    }
    longest = max(map(len, texts.values()), default=1)
    size = min(cell_width(image) / (0.7 * longest), NUMBER_SIZE)
    if size < LEAST_SIZE:
        return
    for (row, column), text in texts.items():
        image.axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=size,
            color=ink(image, values[row, column]),
        )


def cell_width(image: AxesImage) -> float:
    """The width of a cell, in points."""
    image.axes.apply_aspect()
    width = image.axes.get_window_extent().width
    columns = image.get_array().shape[1]
    return width / image.axes.figure.dpi * 72 / columns


def ink(image: AxesImage, value: float) -> str:
    """Black or white, whichever contrasts more with a value's colour.

    Black has more contrast where the luminance is above 0.18. (WCAG 2.2,
    1.4.3)
    """
    light = np.power(image.to_rgba(value)[:3], 2.2) @ LUMINANCE
    return "black" if light > 0.18 else "white"


def signed(value: float) -> str:
    """A difference with its sign, and 0 without one.

    >>> signed(0.126), signed(-0.126), signed(-0.001)
    ('+0.13', '-0.13', '0')
    """
    text = f"{value:+.2f}"
    return text if float(text) else "0"


def largest(values: Float[Array, "..."]) -> float:
    """The upper end of a scale from 0: the largest value, or else 1."""
    finite = values[np.isfinite(values)]
    return float(finite.max(initial=0)) or 1.0


def up_to(name: str, most: float) -> str:
    """Label of a colour bar that ends at the largest value here."""
    return f"{name} (largest here: {most:.2g})"


def label_heads(axes: Axes, layers: int, heads: int) -> None:
    """Heads along x, layers along y, both from 0, layer 0 at the top."""
    axes.set_xticks(range(heads))
    axes.set_yticks(range(layers))
    axes.set(xlabel="head", ylabel="layer")
