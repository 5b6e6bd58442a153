"""Rollout: from which tokens of the input a layer's tokens come."""

from matplotlib.axes import Axes

from ..attention import Attention
from ..measures.rollout import rollout
from ..spelling import readable
from .describing import describe
from .head import square_axes
from .heat_map import (
    MOST_WRITTEN,
    colour_bar,
    draw,
    largest,
    up_to,
    write_numbers,
)
from .token_labels import label_tokens, token_labels


def plot_rollout(
    attention: Attention, layer: int = -1, axes: Axes | None = None
) -> Axes:
    """The rollout up to a layer; -1 is the last.

    The colours go from 0 to the largest share. Raises ValueError for a
    layer that there is not.
    """
    if not -attention.layers <= layer < attention.layers:
        raise ValueError(
            f"expected layer from 0 to {attention.layers - 1}, or below 0 "
            f"from the last, got {layer}"
        )
    layer %= attention.layers
    shares = rollout(attention)[layer]
    labels = token_labels(attention.tokens)
    axes = axes or square_axes(labels)
    most = largest(shares)
    image = draw(axes, shares, 0, most)
    colour_bar(image, up_to("share", most))
    label_tokens(axes.yaxis, labels, f"token after layer {layer}")
    label_tokens(axes.xaxis, labels, "token of the input")
    if len(shares) <= MOST_WRITTEN:
        write_numbers(image)
    source = shares.mean(axis=0).argmax()
    describe(
        axes,
        [
            f"Rollout, layer 0 to {layer}",
            attention.about,
            attention.rows,
        ],
        f"A heat map of the rollout of {layer + 1} layers, from tokens of "
        f"the input in the columns to those after layer {layer} in the "
        f"rows. Most is from {readable(attention.tokens[source])} (token "
        f"{source}): {shares[:, source].mean():.0%} in the mean.",
    )
    return axes
