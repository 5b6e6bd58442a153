"""Attention rollout: from which input tokens a layer's tokens come."""

from matplotlib.axes import Axes

from ..attention import Attention
from ..measures.rollout import rollout
from ..spelling import readable
from .describing import describe
from .head import axes_for
from .heat_map import (
    MOST_WRITTEN,
    colour_bar,
    draw,
    largest,
    mark_masked,
    up_to,
    write_numbers,
)
from .token_labels import label_tokens, token_labels


def plot_rollout(
    attention: Attention, layer: int = -1, axes: Axes | None = None
) -> Axes:
    """Heat map of the rollout up to a layer; -1 is the last.

    Colours go from 0 to the largest share. Raises ValueError for a layer
    out of range, and for cross-attention.
    """
    if not -attention.layers <= layer < attention.layers:
        raise ValueError(
            f"expected layer from 0 to {attention.layers - 1}, or negative "
            f"to count from the last, got {layer}"
        )
    layer %= attention.layers
    shares = rollout(attention)[layer]
    labels = token_labels(attention.tokens)
    axes = axes or axes_for(attention)
    most = largest(shares)
    image = draw(axes, shares, 0, most)
    colour_bar(image, up_to("share", most))
    # A token that is masked has a share in itself all the same.
    mark_masked(image, ~attention.mask & (shares == 0))
    label_tokens(axes.yaxis, labels, f"token after layer {layer}")
    label_tokens(axes.xaxis, labels, "input token")
    if len(shares) <= MOST_WRITTEN:
        write_numbers(image)
    source = shares.mean(axis=0).argmax()
    describe(
        axes,
        [
            f"Attention rollout, layer 0 to {layer}",
            attention.about,
            attention.rows,
        ],
        f"A heat map of the attention rollout, layer 0 to {layer}: the "
        f"columns are input tokens, the rows tokens after layer {layer}. "
        f"The largest share, {shares[:, source].mean():.0%} on average, "
        f"comes from {readable(attention.tokens[source])} (token "
        f"{source}).",
    )
    return axes
