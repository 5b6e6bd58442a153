"""Mosaic of all heads: every layer and head at a glance."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from numpy import ndarray as Array

from ..attention import Attention
from ..measures.metrics import confidence
from .describing import describe, description_of, title_of
from .head import masked_words
from .heat_map import colour_bar, draw, new_figure, say_masked
from .saving import file_of

MOST_DOTS = 64  # along a side of a head's square
MASKED = -1.0  # in place of a weight that is masked


def plot_heads(attention: Attention, axes: Axes | None = None) -> Axes:
    """Mosaic with a square for each head, which holds all its weights.

    Within a square, rows are queries and columns are keys.
    """
    layers, heads, queries, keys = attention.weights.shape
    if axes is None:
        side = min(0.9, 14 / heads, 10 / layers)  # of a square, in inches
        size = max(side * heads + 1.8, 6), max(side * layers + 1.4, 2.5)
        axes = new_figure(*size).add_subplot()
    side = -(-max(queries, keys) // MOST_DOTS)
    masked = np.broadcast_to(~attention.mask, attention.weights.shape)
    # A masked weight is less than any other: a block is masked as a whole.
    dots = pooled(np.where(masked, MASKED, attention.weights), side)
    tiles = mosaic(dots)
    image = draw(axes, tiles, 0, 1, absent="none")
    colour_bar(image, "weight")
    if masked.any():
        say_masked(axes)
    for ticks, count, size in (
        (axes.set_yticks, layers, dots.shape[-2]),
        (axes.set_xticks, heads, dots.shape[-1]),
    ):
        pitch = size + gap(dots)
        ticks((size - 1) / 2 + pitch * np.arange(count), range(count))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="head", ylabel="layer")
    describe(
        axes,
        [
            "All heads",
            attention.about,
            f"{attention.counts}; {attention.rows}",
            *([f"each dot: largest of {side} × {side}"] * (side > 1)),
        ],
        description(attention),
    )
    return axes


def pooled(
    weights: Float[Array, "layer head query key"], side: int
) -> Float[Array, "layer head row column"]:
    """Max pooling: the largest weight of each `side` by `side` block.

    A mean would hide a single large weight.
    """
    layers, heads, *sizes = weights.shape
    rows, columns = (-(-size // side) for size in sizes)
    more = ((0, rows * side - sizes[0]), (0, columns * side - sizes[1]))
    even = np.pad(weights, ((0, 0), (0, 0), *more), constant_values=MASKED)
    blocks = even.reshape(layers, heads, rows, side, columns, side)
    return blocks.max(axis=(-3, -1))


def mosaic(
    weights: Float[Array, "layer head query key"],
) -> Float[Array, "row column"]:
    """The heads of a layer side by side, NaN between them."""
    room = gap(weights)
    around = ((0, 0), (0, 0), (0, room), (0, room))
    tiles = np.pad(weights, around, constant_values=np.nan)
    rows = [np.concatenate(list(layer), axis=1) for layer in tiles]
    return np.concatenate(rows)[:-room, :-room]


def gap(dots: Float[Array, "layer head query key"]) -> int:
    return max(1, round(max(dots.shape[2:]) / 16))


def description(attention: Attention) -> str:
    sharp = confidence(attention)
    layer, head = np.unravel_index(sharp.argmax(), sharp.shape)
    return (
        f"A mosaic of {attention.layers} layers, from the top, by "
        f"{attention.heads} heads; each square has the weights of one "
        "head, rows being queries and columns keys."
        f"{masked_words(attention, 'grey')} The sharpest is head "
        f"{head} of layer {layer}: the largest weight in a row is "
        f"{sharp[layer, head]:.2f} on average."
    )


def png_of(attention: Attention) -> bytes:
    """The mosaic as a PNG, for a notebook to show."""
    figure = plot_heads(attention).figure
    texts = title_of(figure), description_of(figure)
    return file_of(figure, ".png", *texts)
