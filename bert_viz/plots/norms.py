"""Weights beside what they carry: why a weight is not an influence."""

import numpy as np
from matplotlib.figure import Figure

from ..attention import Attention
from ..measures.norms import norm_shares, norms
from ..spelling import readable
from .describing import describe, entitle
from .head import label_both, side_of
from .heat_map import (
    MOST_WRITTEN,
    colour_bar,
    draw,
    largest,
    new_figure,
    up_to,
    write_numbers,
)
from .token_labels import token_labels

ALPHA = "\N{GREEK SMALL LETTER ALPHA}"


def plot_norms(
    attention: Attention,
    layer: int,
    head: int,
    figure: Figure | None = None,
) -> Figure:
    """The weights of one head, and the norms of weight times value.

    The title says how much of each goes to the special tokens, or where
    there are none to the first. Raises ValueError for a head that there
    is not, and where the values are not known.
    """
    weights = attention.head(layer, head)
    carried = norms(attention)[layer, head]
    if figure is None:
        side = min(side_of(attention.tokens), 8)
        figure = new_figure(2 * side + 4.4, side + 2.5)
    left, right = figure.subplots(1, 2)
    panel(left, attention, weights, 1, "weight")
    most = largest(carried)
    panel(right, attention, carried, most, up_to("norm", most))
    name, first, second = shares(attention, layer, head)
    describe(
        left,
        [f"weights {ALPHA}: {first:.0%} on {name}"],
        f"Two heat maps, from the tokens in the rows to those in the "
        f"columns. Left, the weights of head {head} in layer {layer}: "
        f"{first:.0%} of them is on {name}.",
    )
    describe(
        right,
        [f"norms ‖{ALPHA} f(x)‖: {second:.0%} on {name}"],
        f"Right, the norms of weight times value: {second:.0%} of them, "
        f"by row, is on {name}.",
    )
    entitle(
        figure,
        [f"Layer {layer}, head {head}", attention.about, attention.rows],
    )
    return figure


def panel(axes, attention, values, most: float, name: str) -> None:
    image = draw(axes, values, 0, most)
    colour_bar(image, name)
    label_both(axes, token_labels(attention.tokens))
    if len(values) <= MOST_WRITTEN:
        write_numbers(image)


def shares(
    attention: Attention, layer: int, head: int
) -> tuple[str, float, float]:
    """Which tokens take much, and their share of weights and of norms."""
    keys = attention.special
    if not keys.any():
        keys = np.arange(len(attention.tokens)) == 0
    names = dict.fromkeys(
        readable(attention.tokens[place]) for place in np.flatnonzero(keys)
    )
    both = attention.weights, norm_shares(attention)
    first, second = (
        float(one[layer, head][:, keys].sum(axis=-1).mean()) for one in both
    )
    return " and ".join(names), first, second
