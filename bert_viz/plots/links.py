"""Links of two tokens: the weight from one to the other, in every head."""

from collections.abc import Sequence
from itertools import permutations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..attention import Attention
from ..choosing import name_of, position_of
from ..measures.links import links_between
from .describing import describe, entitle
from .heat_map import (
    colour_bar,
    draw,
    label_heads,
    largest,
    new_figure,
    up_to,
    write_numbers,
)


def plot_link(
    attention: Attention,
    query: int | str,
    key: int | str,
    axes: Axes | None = None,
) -> Axes:
    """Heat map of the weight from one token to another: layers by heads.

    Tokens are named as for `plot_token`, with its errors.
    """
    start = position_of(attention, query, "from")
    end = position_of(attention, key, "to")
    weights = attention.weights[..., start, end]
    if axes is None:
        axes = new_figure(*size_of(attention)).add_subplot()
    most = largest(weights)
    image = draw(axes, weights, 0, most)
    colour_bar(image, up_to("weight", most))
    label_heads(axes, *weights.shape)
    write_numbers(image, "{:.2f}".format)
    ends = name_of(attention, start, "from"), name_of(attention, end, "to")
    title = [f"Weight from {ends[0]} to {ends[1]}, in every head"]
    if attention.mask[start, end]:
        layer, head, *_, weight = links_between(attention, start, end)[0]
        title.append(f"largest: {weight:.2f}, layer {layer}, head {head}")
    else:
        title.append("masked: 0 in all")
    text = (
        f"A heat map with its number in each cell, {attention.layers} "
        f"layers from the top by {attention.heads} heads; {title[-1]}."
    )
    describe(axes, title, text)
    return axes


def plot_links(
    attention: Attention,
    tokens: Sequence[int | str],
    figure: Figure | None = None,
) -> Figure:
    """Two tokens, or more: every head's weight from each to each other.

    Raises ValueError as `plot_link` does, for cross-attention, and for
    fewer than two tokens.
    """
    attention.check_one_text("both directions of two tokens")
    if len(tokens) < 2:
        raise ValueError(
            f"expected at least two tokens to link, got {len(tokens)}"
        )
    pairs = list(permutations(tokens, 2))
    if figure is None:
        width, height = size_of(attention)
        figure = new_figure(2 * width, height * len(pairs) / 2 + 0.4)
    panels = figure.subplots(len(pairs) // 2, 2, squeeze=False)
    for (query, key), axes in zip(pairs, panels.flat, strict=True):
        plot_link(attention, query, key, axes)
    entitle(figure, [attention.about, attention.rows])
    return figure


def size_of(attention: Attention) -> tuple[float, float]:
    """Inches for one number of each head."""
    width = max(0.46 * attention.heads, 4.6) + 2
    return width, max(0.42 * attention.layers, 0.8) + 2
