"""Differences of two texts: what is more in the second, what is less."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy import ndarray as Array

from ..attention import Attention
from ..measures.metric_table import MetricTable
from ..spelling import readable
from .describing import describe
from .head import FROM, TO, grid_axes
from .heat_map import (
    MOST_WRITTEN,
    colour_bar,
    draw,
    label_heads,
    largest,
    mark_masked,
    signed,
    up_to,
    write_numbers,
)
from .metrics import axes_of_heads, values_of
from .token_labels import label_tokens

COLOURS = "RdBu_r"


def plot_difference(
    first: MetricTable,
    second: MetricTable,
    metric: str,
    axes: Axes | None = None,
) -> Axes:
    """Difference of a metric in all heads, second text minus first.

    Raises ValueError for tables of two models or computed in two ways,
    and for a metric that one of them does not have.
    """
    check_same("model", first.about, second.about)
    check_same("treatment of rows", first.rows, second.rows)
    check_same("layers and heads", first.shape, second.shape)
    difference = values_of(second, metric) - values_of(first, metric)
    axes = axes or axes_of_heads(difference)
    image = draw_signed(axes, difference)
    label_heads(axes, *difference.shape)
    write_numbers(image, signed)
    describe(
        axes,
        [f"{metric}: second text minus first", second.caption],
        f"A heat map of the difference in {metric}, second text minus "
        "first: a row for each layer, from the top, and a column for each "
        f"head. {extremes(difference, 'layer', 'head')}",
    )
    return axes


def plot_weight_difference(
    first: Attention,
    second: Attention,
    layer: int,
    head: int,
    axes: Axes | None = None,
) -> Axes:
    """Difference of the weights of one head, second sentence minus first.

    Tokens that differ are labelled "first → second". Raises ValueError
    for two models, for rows treated in two ways, and for sentences with
    different numbers of tokens.
    """
    check_same("model", first.about, second.about)
    check_same("treatment of rows", first.rows, second.rows)
    sides = [
        (first.tokens, second.tokens),
        (first.key_tokens, second.key_tokens),
    ]
    for ours, others in sides:
        if len(ours) != len(others):
            raise ValueError(
                "expected two sentences with the same number of tokens, "
                f"got {len(ours)} and {len(others)}"
            )
    difference = second.head(layer, head) - first.head(layer, head)
    rows, columns = (both_labels(*tokens) for tokens in sides)
    axes = axes or grid_axes(rows, columns)
    image = draw_signed(axes, difference)
    mark_masked(image, ~first.mask & ~second.mask)
    label_tokens(axes.yaxis, rows, FROM)
    label_tokens(axes.xaxis, columns, TO)
    if max(difference.shape) <= MOST_WRITTEN:
        write_numbers(image, signed)
    describe(
        axes,
        [
            f"Layer {layer}, head {head}: second sentence minus first",
            second.about,
            second.rows,
        ],
        f"A heat map of the difference in the weights of head {head} in "
        f"layer {layer}, second sentence minus first: rows are queries, "
        f"columns are keys. {extremes(difference, 'query', 'key')}",
    )
    return axes


def check_same(name: str, first, second) -> None:
    """Raise ValueError where two texts cannot be compared."""
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


def both_labels(
    first: tuple[str, ...], second: tuple[str, ...]
) -> list[str]:
    return [
        readable(token) if token == other else readable_pair(token, other)
        for token, other in zip(first, second, strict=True)
    ]


def readable_pair(first: str, second: str) -> str:
    return f"{readable(first)} → {readable(second)}"


def extremes(
    difference: Float[Array, "row column"], row: str, column: str
) -> str:
    """The smallest and the largest difference, and where they are."""
    if not np.isfinite(difference).any():
        return "It is not defined here."
    least, most = (
        f"{difference[i, j]:+.2f} at {row} {i}, {column} {j}"
        for i, j in (
            np.unravel_index(np.nanargmin(difference), difference.shape),
            np.unravel_index(np.nanargmax(difference), difference.shape),
        )
    )
    return f"The differences range from {least}, to {most}."
