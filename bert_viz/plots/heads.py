"""Mosaic of all heads: every layer and head at a glance."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from numpy import ndarray as Array

from ..attention import Attention
from ..measures.metrics import confidence
from .describing import describe, description_of, title_of
from .heat_map import colour_bar, draw, new_figure
from .saving import file_of

MOST_DOTS = 64  # along a side of a head's square


def plot_heads(attention: Attention, axes: Axes | None = None) -> Axes:
    """Mosaic with a square for each head, which holds all its weights.

    Within a square, rows are queries and columns are keys.
    """
    layers, heads, tokens = attention.weights.shape[:3]
    if axes is None:
        side = min(0.9, 14 / heads, 10 / layers)  # of a square, in inches
        size = max(side * heads + 1.8, 6), max(side * layers + 1.4, 2.5)
        axes = new_figure(*size).add_subplot()
    side = -(-tokens // MOST_DOTS)
    dots = pooled(attention.weights, side)
    image = draw(axes, mosaic(dots), 0, 1)
    colour_bar(image, "weight")
    pitch = dots.shape[-1] + gap(dots.shape[-1])
    middle = (dots.shape[-1] - 1) / 2
    axes.set_xticks(middle + pitch * np.arange(heads), range(heads))
    axes.set_yticks(middle + pitch * np.arange(layers), range(layers))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="head", ylabel="layer")
    describe(
        axes,
        [
            "All heads",
            attention.about,
            f"{counted(tokens)}; {attention.rows}",
            *([f"each dot: largest of {side} × {side}"] * (side > 1)),
        ],
        description(attention),
    )
    return axes


def counted(tokens: int) -> str:
    return "1 token" if tokens == 1 else f"{tokens} tokens"


def pooled(
    weights: Float[Array, "layer head query key"], side: int
) -> Float[Array, "layer head row column"]:
    """Max pooling: the largest weight of each `side` by `side` block.

    A mean would hide a single large weight.
    """
    layers, heads, tokens, _ = weights.shape
    dots = -(-tokens // side)
    more = (0, dots * side - tokens)
    even = np.pad(weights, ((0, 0), (0, 0), more, more))
    blocks = even.reshape(layers, heads, dots, side, dots, side)
    return blocks.max(axis=(-3, -1))


def mosaic(
    weights: Float[Array, "layer head query key"],
) -> Float[Array, "row column"]:
    """The heads of a layer side by side, NaN between them."""
    room = gap(weights.shape[-1])
    around = ((0, 0), (0, 0), (0, room), (0, room))
    tiles = np.pad(weights, around, constant_values=np.nan)
    rows = [np.concatenate(list(layer), axis=1) for layer in tiles]
    return np.concatenate(rows)[:-room, :-room]


def gap(dots: int) -> int:
    return max(1, round(dots / 16))


def description(attention: Attention) -> str:
    sharp = confidence(attention)
    layer, head = np.unravel_index(sharp.argmax(), sharp.shape)
    return (
        f"A mosaic of {attention.layers} layers, from the top, by "
        f"{attention.heads} heads; each square has the weights of one "
        "head, rows being queries and columns keys. The sharpest is head "
        f"{head} of layer {layer}: the largest weight in a row is "
        f"{sharp[layer, head]:.2f} on average."
    )


def png_of(attention: Attention) -> bytes:
    """The mosaic as a PNG, for a notebook to show."""
    figure = plot_heads(attention).figure
    texts = title_of(figure), description_of(figure)
    return file_of(figure, ".png", *texts)
