"""One token in all heads: what it looks at, and what looks at it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray as Array

from ..attention import Attention
from ..choosing import DIRECTIONS, name_of, position_of, sides_of
from ..spelling import readable
from .describing import describe, entitle
from .head import FROM, TO
from .heat_map import colour_bar, draw, mark_masked, new_figure
from .token_labels import label_tokens, token_labels

LEAST_ROW = 6.5  # points that the label of a head needs


def plot_token(
    attention: Attention,
    token: int | str,
    direction: str = "from",
    axes: Axes | None = None,
) -> Axes:
    """Heat map of the weights from one token, or to it, in every head.

    A token is named by its position, from 0, or by its text if only one
    token has it; otherwise ValueError is raised. In cross-attention it is
    one of the queries if `direction` is "from", else one of the keys.
    """
    position = position_of(attention, token, direction)
    rows = rows_of(attention, position, direction)
    if axes is None:
        width = min(max(0.3 * rows.shape[1], 4), 11) + 2
        height = min(max(0.115 * len(rows), 2), 12) + 1.4
        axes = new_figure(width, height).add_subplot()
    panel(axes, attention, position, direction)
    colour_bar(axes.images[-1], "weight")
    name = name_of(attention, position, direction)
    describe(
        axes,
        [
            f"Attention {direction} {name} in all heads",
            attention.about,
            attention.rows,
        ],
        description(attention, position, direction),
    )
    return axes


def plot_tokens(
    attention: Attention,
    tokens: Sequence[int | str],
    figure: Figure | None = None,
) -> Figure:
    """Several tokens: left what each looks at, right what looks at it.

    Raises ValueError as `plot_token` does, and for cross-attention, where
    no token is on both sides.
    """
    attention.check_one_text("both directions of a token")
    positions = [position_of(attention, token) for token in tokens]
    if not positions:
        raise ValueError("expected at least one token, got none")
    if figure is None:
        width = min(max(0.22 * len(attention.tokens), 3), 7)
        figure = new_figure(2 * width + 2, 4.2 * len(positions) + 0.6)
    panels = figure.subplots(len(positions), 2, squeeze=False)
    for position, pair in zip(positions, panels, strict=True):
        name = name_of(attention, position, "from")
        for direction, axes in zip(DIRECTIONS, pair, strict=True):
            panel(axes, attention, position, direction)
            text = description(attention, position, direction)
            describe(axes, [f"Attention {direction} {name}"], text)
    for row in panels:
        colour_bar(row[1].images[0], "weight")
    entitle(figure, [attention.about, attention.rows])
    return figure


def rows_of(
    attention: Attention, position: int, direction: str
) -> Float[Array, "head token"]:
    """The weights from or to a token: a row for each head, in order."""
    selected = selected_of(attention.weights, position, direction)
    return selected.reshape(-1, selected.shape[-1])


def selected_of(array: Array, position: int, direction: str) -> Array:
    """The row of a token, or its column."""
    if direction == "from":
        return array[..., position, :]
    return array[..., :, position]


def panel(
    axes: Axes, attention: Attention, position: int, direction: str
) -> None:
    rows = rows_of(attention, position, direction)
    image = draw(axes, rows, 0, 1, aspect="auto")
    masked = selected_of(~attention.mask, position, direction)
    mark_masked(image, np.tile(masked, (len(rows), 1)))
    other = TO if direction == "from" else FROM
    _, others = sides_of(attention, direction)
    label_tokens(axes.xaxis, token_labels(others), other)
    label_layers(axes, attention.layers, attention.heads)


def label_layers(axes: Axes, layers: int, heads: int) -> None:
    """Label layers, with lines between them, and heads if there is room."""
    for layer in range(1, layers):
        axes.axhline(layer * heads - 0.5, color="white", linewidth=1)
    height = axes.get_window_extent().height / axes.figure.dpi * 72
    room = height / (layers * heads)
    narrow = room < LEAST_ROW
    rows = np.arange(layers * heads)
    axes.set_yticks(
        rows, [] if narrow else [f"{r % heads}" for r in rows], minor=True
    )
    middles = heads * (np.arange(layers) + 0.5) - 0.5
    axes.set_yticks(middles, range(layers))
    axes.yaxis.remove_overlapping_locs = False
    size = min(0.9 * room, 8)
    axes.tick_params("y", which="minor", length=0, labelsize=size)
    axes.tick_params("y", length=0, pad=3 if narrow else 18)
    axes.set_ylabel("layer" if narrow else "layer, head")


def description(attention: Attention, position: int, direction: str) -> str:
    rows = rows_of(attention, position, direction)
    row, other = np.unravel_index(rows.argmax(), rows.shape)
    layer, head = divmod(row, attention.heads)
    _, others = sides_of(attention, direction)
    back = "to" if direction == "from" else "from"
    return (
        f"A heat map of the weights {direction} "
        f"{name_of(attention, position, direction)}: a row "
        f"for each of {attention.layers} × {attention.heads} heads, a "
        f"column for each token. The largest is {rows[row, other]:.2f}, "
        f"{back} {readable(others[other])} (token {other}), in "
        f"head {head} of layer {layer}."
    )
