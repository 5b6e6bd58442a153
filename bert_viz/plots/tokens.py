"""One token in all layers and heads: what it looks at, who looks at it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray as Array

from ..attention import Attention
from ..spelling import readable
from .describing import describe, entitle
from .head import FROM, TO
from .heat_map import colour_bar, draw, new_figure
from .token_labels import label_tokens, token_labels

DIRECTIONS = ("from", "to")
LEAST_ROW = 6.5  # points that the number of a head needs


def plot_token(
    attention: Attention,
    token: int | str,
    direction: str = "from",
    axes: Axes | None = None,
) -> Axes:
    """The weights from one token, or to it: a row for each head.

    A token is given by its place, from 0, or by its text if there is one
    such token only; otherwise ValueError is raised.
    """
    place = place_of(attention, token)
    rows = rows_of(attention, place, direction)
    if axes is None:
        width = min(max(0.3 * len(attention.tokens), 4), 11) + 2
        height = min(max(0.115 * len(rows), 2), 12) + 1.4
        axes = new_figure(width, height).add_subplot()
    panel(axes, attention, place, direction)
    colour_bar(axes.images[-1], "weight")
    name = f"{readable(attention.tokens[place])} (token {place})"
    describe(
        axes,
        [
            f"{direction} {name}, in all heads",
            attention.about,
            attention.rows,
        ],
        words(attention, place, direction),
    )
    return axes


def plot_tokens(
    attention: Attention,
    tokens: Sequence[int | str],
    figure: Figure | None = None,
) -> Figure:
    """Several tokens: on the left what each looks at, right by whom."""
    places = [place_of(attention, token) for token in tokens]
    if not places:
        raise ValueError("expected at least one token, got none")
    if figure is None:
        width = min(max(0.22 * len(attention.tokens), 3), 7)
        figure = new_figure(2 * width + 2, 4.2 * len(places) + 0.6)
    panels = figure.subplots(len(places), 2, squeeze=False)
    for place, pair in zip(places, panels, strict=True):
        name = f"{readable(attention.tokens[place])} (token {place})"
        for direction, axes in zip(DIRECTIONS, pair, strict=True):
            panel(axes, attention, place, direction)
            text = words(attention, place, direction)
            describe(axes, [f"{direction} {name}"], text)
    for row in panels:
        colour_bar(row[1].images[0], "weight")
    entitle(figure, [attention.about, attention.rows])
    return figure


def place_of(attention: Attention, token: int | str) -> int:
    """Raises ValueError for none such, and for a text that is not one's."""
    count = len(attention.tokens)
    if not isinstance(token, str):
        if not 0 <= token < count:
            raise ValueError(
                f"expected a token from 0 to {count - 1}, got {token}"
            )
        return int(token)
    places = [
        place for place, one in enumerate(attention.tokens) if one == token
    ]
    if len(places) != 1:
        found = ", ".join(map(str, places)) or "none"
        raise ValueError(
            f"expected a token that occurs once, or its place, got "
            f"{readable(token)}, which stands at: {found}"
        )
    return places[0]


def rows_of(
    attention: Attention, place: int, direction: str
) -> Float[Array, "head token"]:
    """A row for each head, those of layer 0 first."""
    if direction not in DIRECTIONS:
        raise ValueError(
            f"expected direction to be from or to, got {direction!r}"
        )
    weights = attention.weights
    found = (
        weights[..., place, :]
        if direction == "from"
        else weights[..., :, place]
    )
    return found.reshape(-1, weights.shape[-1])


def panel(
    axes: Axes, attention: Attention, place: int, direction: str
) -> None:
    rows = rows_of(attention, place, direction)
    draw(axes, rows, 0, 1, aspect="auto")
    other = TO if direction == "from" else FROM
    label_tokens(axes.xaxis, token_labels(attention.tokens), other)
    label_layers(axes, attention.layers, attention.heads)


def label_layers(axes: Axes, layers: int, heads: int) -> None:
    """Layers with lines between them, and heads where there is room."""
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


def words(attention: Attention, place: int, direction: str) -> str:
    rows = rows_of(attention, place, direction)
    number, other = np.unravel_index(rows.argmax(), rows.shape)
    layer, head = divmod(number, attention.heads)
    back = "to" if direction == "from" else "from"
    return (
        f"A heat map of the weights {direction} the token "
        f"{readable(attention.tokens[place])} at place {place}: a row for "
        f"each of {attention.layers} × {attention.heads} heads, a column "
        f"for each token. The largest is {rows[number, other]:.2f}, {back} "
        f"{readable(attention.tokens[other])} at place {other}, in head "
        f"{head} of layer {layer}."
    )
