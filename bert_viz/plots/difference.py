"""What is more in the second of two texts, and what is less."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy import ndarray as Array

from ..attention import Attention
from ..measures.metric_table import MetricTable
from ..spelling import readable
from .describing import describe
from .head import label_both, square_axes
from .heat_map import (
    MOST_WRITTEN,
    colour_bar,
    draw,
    label_heads,
    largest,
    signed,
    up_to,
    write_numbers,
)
from .metrics import grid_axes, values_of

COLOURS = "RdBu_r"


def plot_difference(
    first: MetricTable,
    second: MetricTable,
    metric: str,
    axes: Axes | None = None,
) -> Axes:
    """A metric of all heads: the second text's minus the first's.

    Raises ValueError for tables of two models, or made in two ways, and
    for a metric that one of them does not have.
    """
    for name in ("about", "rows", "shape"):
        check_same(name, getattr(first, name), getattr(second, name))
    difference = values_of(second, metric) - values_of(first, metric)
    axes = axes or grid_axes(difference)
    image = draw_signed(axes, difference)
    label_heads(axes, *difference.shape)
    write_numbers(image, signed)
    describe(
        axes,
        [f"{metric}: the second text minus the first", second.caption],
        f"A heat map of how much {metric} differs in each head, layers "
        f"from above. {extremes(difference, 'layer', 'head')}",
    )
    return axes


def plot_weight_difference(
    first: Attention,
    second: Attention,
    layer: int,
    head: int,
    axes: Axes | None = None,
) -> Axes:
    """The weights of one head: the second sentence's minus the first's.

    Tokens that differ stand as "first → second". Raises ValueError for
    sentences of two models, for rows made in two ways, and when one has
    more tokens than the other.
    """
    for name in ("about", "rows"):
        check_same(name, getattr(first, name), getattr(second, name))
    counts = len(first.tokens), len(second.tokens)
    if counts[0] != counts[1]:
        raise ValueError(
            f"expected two sentences of as many tokens, got {counts[0]} "
            f"and {counts[1]}"
        )
    difference = second.head(layer, head) - first.head(layer, head)
    labels = both_labels(first, second)
    axes = axes or square_axes(labels)
    image = draw_signed(axes, difference)
    label_both(axes, labels)
    if len(difference) <= MOST_WRITTEN:
        write_numbers(image, signed)
    describe(
        axes,
        [
            f"Layer {layer}, head {head}: the second sentence minus the "
            "first",
            second.about,
            second.rows,
        ],
        f"A heat map of how much the weights of head {head} in layer "
        f"{layer} differ, from the tokens in the rows to those in the "
        f"columns. {extremes(difference, 'row', 'column')}",
    )
    return axes


def check_same(name: str, first, second) -> None:
    """Raise ValueError unless what is compared is of one kind."""
    if first != second:
        raise ValueError(
            f"expected two texts with the same {name}, got {first} and "
            f"{second}"
        )


def draw_signed(
    axes: Axes, difference: Float[Array, "row column"]
) -> AxesImage:
    """Red is more, blue is less, and white is 0."""
    most = largest(abs(difference))
    image = draw(axes, difference, -most, most, COLOURS)
    colour_bar(image, up_to("difference", most))
    return image


def both_labels(first: Attention, second: Attention) -> list[str]:
    pairs = zip(first.tokens, second.tokens, strict=True)
    return [
        readable(one) if one == other else readable_pair(one, other)
        for one, other in pairs
    ]


def readable_pair(one: str, other: str) -> str:
    return f"{readable(one)} → {readable(other)}"


def extremes(
    difference: Float[Array, "row column"], row: str, column: str
) -> str:
    """Where the second has most more, and where most less."""
    if not np.isfinite(difference).any():
        return "It is not defined here."
    both = np.nanargmin(difference), np.nanargmax(difference)
    least, most = (
        f"{difference.flat[place]:+.2f} in {row} {number}, {column} {other}"
        for place in both
        for number, other in [np.unravel_index(place, difference.shape)]
    )
    return f"It goes from {least}, to {most}."
