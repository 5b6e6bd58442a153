"""Heat map of one head: which token looks at which."""

import numpy as np
from matplotlib.axes import Axes

from ..attention import Attention
from ..spelling import readable
from .describing import describe
from .heat_map import (
    MOST_WRITTEN,
    colour_bar,
    draw,
    new_figure,
    write_numbers,
)
from .token_labels import label_tokens, token_labels

FROM, TO = "from (query)", "to (key)"


def plot_head(
    attention: Attention, layer: int, head: int, axes: Axes | None = None
) -> Axes:
    """Heat map of the weights of one head, from each token to each.

    Raises ValueError for a layer or head out of range.
    """
    weights = attention.head(layer, head)
    labels = token_labels(attention.tokens)
    axes = axes or square_axes(labels)
    image = draw(axes, weights, 0, 1)
    colour_bar(image, "weight")
    label_both(axes, labels)
    if len(weights) <= MOST_WRITTEN:
        write_numbers(image)
    describe(
        axes,
        [
            f"Layer {layer}, head {head}",
            attention.about,
            attention.rows,
        ],
        description(attention, layer, head),
    )
    return axes


def square_axes(labels: list[str]) -> Axes:
    """New square axes, large enough for these labels, within limits."""
    side, beside = side_of(labels), 0.075 * max(map(len, labels))
    return new_figure(
        side + beside + 1.6, side + beside + 0.9
    ).add_subplot()


def side_of(labels: list[str]) -> float:
    """The side of the square, in inches."""
    return min(max(0.42 * len(labels), 4), 10)


def label_both(axes: Axes, labels: list[str]) -> None:
    label_tokens(axes.yaxis, labels, FROM)
    label_tokens(axes.xaxis, labels, TO)


def description(attention: Attention, layer: int, head: int) -> str:
    weights = attention.head(layer, head)
    query, key = np.unravel_index(weights.argmax(), weights.shape)
    first, second = (
        f"{readable(attention.tokens[position])} (token {position})"
        for position in (query, key)
    )
    return (
        f"A heat map of the weights of head {head} in layer {layer}: the "
        f"rows are {len(weights)} queries, the columns the same tokens as "
        f"keys. The largest weight is {weights[query, key]:.2f}, from "
        f"{first} to {second}."
    )
