"""Norms beside weights: why a weight is not an influence."""

import numpy as np
from matplotlib.figure import Figure

from ..attention import Attention
from ..measures.norms import norm_shares, norms
from ..spelling import readable
from .describing import describe, entitle
from .head import label_both, masked_words, sides_of
from .heat_map import (
    MOST_WRITTEN,
    colour_bar,
    draw,
    largest,
    mark_masked,
    new_figure,
    up_to,
    write_numbers,
)

ALPHA = "\N{GREEK SMALL LETTER ALPHA}"


def plot_norms(
    attention: Attention,
    layer: int,
    head: int,
    figure: Figure | None = None,
) -> Figure:
    """Two heat maps of one head: weights, and norms of weight times value.

    The title says how much of each goes to the special tokens, or, where
    there are none, to the first token. Raises ValueError for a head out
    of range, and where the values are not known.
    """
    weights = attention.head(layer, head)
    carried = norms(attention)[layer, head]
    if figure is None:
        wide, high = (min(side, 8) for side in sides_of(*weights.shape))
        figure = new_figure(2 * wide + 4.4, high + 2.5)
    left, right = figure.subplots(1, 2)
    panel(left, attention, weights, 1, "weight")
    most = largest(carried)
    panel(right, attention, carried, most, up_to("norm", most))
    name, first, second = shares(attention, layer, head)
    describe(
        left,
        [f"weights {ALPHA}: {first:.0%} on {name}"],
        "Two heat maps; rows are queries, columns are keys. Left, the "
        f"weights of head {head} in layer {layer}: {first:.0%} of the "
        f"weight is on {name}.{masked_words(attention)}",
    )
    describe(
        right,
        [f"norms ‖{ALPHA} f(x)‖: {second:.0%} on {name}"],
        "Right, the norms of weight times value: on average, "
        f"{second:.0%} of a row's sum is on {name}.",
    )
    entitle(
        figure,
        [f"Layer {layer}, head {head}", attention.about, attention.rows],
    )
    return figure


def panel(axes, attention, values, most: float, name: str) -> None:
    image = draw(axes, values, 0, most)
    colour_bar(image, name)
    mark_masked(image, ~attention.mask)
    label_both(axes, attention)
    if max(values.shape) <= MOST_WRITTEN:
        write_numbers(image)


def shares(
    attention: Attention, layer: int, head: int
) -> tuple[str, float, float]:
    """The special keys, or else the first, and their two shares."""
    keys = attention.key_special
    if not keys.any():
        keys = np.arange(len(attention.key_tokens)) == 0
    names = dict.fromkeys(
        readable(attention.key_tokens[position])
        for position in np.flatnonzero(keys)
    )
    both = attention.weights, norm_shares(attention)
    first, second = (
        float(array[layer, head][:, keys].sum(axis=-1).mean())
        for array in both
    )
    return " and ".join(names), first, second
