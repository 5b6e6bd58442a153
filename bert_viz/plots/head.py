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
    mark_masked,
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
    axes = axes or axes_for(attention)
    image = draw(axes, weights, 0, 1)
    colour_bar(image, "weight")
    mark_masked(image, ~attention.mask)
    label_both(axes, attention)
    if max(weights.shape) <= MOST_WRITTEN:
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


def axes_for(attention: Attention) -> Axes:
    """New axes with room for a cell for each query and key."""
    rows = token_labels(attention.tokens)
    return grid_axes(rows, token_labels(attention.key_tokens))


def grid_axes(rows: list[str], columns: list[str]) -> Axes:
    """New axes, large enough for these labels, within limits."""
    wide, high = sides_of(len(rows), len(columns))
    beside, below = (
        0.075 * max(map(len, side)) for side in (rows, columns)
    )
    return new_figure(wide + beside + 1.6, high + below + 1.2).add_subplot()


def sides_of(rows: int, columns: int) -> tuple[float, float]:
    """Width and height of the cells, in inches: all are squares."""
    cell = min(max(0.42, 4 / max(rows, columns)), 10 / max(rows, columns))
    return cell * columns, max(cell * rows, 1.2)


def label_both(axes: Axes, attention: Attention) -> None:
    label_tokens(axes.yaxis, token_labels(attention.tokens), FROM)
    label_tokens(axes.xaxis, token_labels(attention.key_tokens), TO)


def description(attention: Attention, layer: int, head: int) -> str:
    weights = attention.head(layer, head)
    query, key = np.unravel_index(weights.argmax(), weights.shape)
    first, second = (
        f"{readable(tokens[position])} (token {position})"
        for tokens, position in (
            (attention.tokens, query),
            (attention.key_tokens, key),
        )
    )
    columns = "the same tokens as keys"
    if attention.is_cross:
        columns = f"{weights.shape[1]} keys of another text"
    return (
        f"A heat map of the weights of head {head} in layer {layer}: the "
        f"rows are {len(weights)} queries, the columns {columns}. The "
        f"largest weight is {weights[query, key]:.2f}, from "
        f"{first} to {second}.{masked_words(attention)}"
    )


def masked_words(attention: Attention, look: str = "hatched") -> str:
    """What is masked, in words, or nothing."""
    reasons = [
        *(["later keys, which no query sees"] * attention.causal),
        *(["padding"] * bool(attention.padding.any())),
    ]
    if not reasons:
        return ""
    return f" Masked cells are {look}: {' and '.join(reasons)}."
