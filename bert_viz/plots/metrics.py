"""Heat map of a metric: one number for each head."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.patches import Rectangle
from numpy import ndarray as Array

from ..measures.metric_table import MetricTable
from ..measures.metrics import metric_named
from ..measures.patterns import PATTERNS, Pattern, heads_of
from .describing import describe
from .heat_map import (
    colour_bar,
    draw,
    label_heads,
    largest,
    new_figure,
    up_to,
    write_numbers,
)

OUTLINE = "#ff5a1f"


def plot_metric(
    table: MetricTable, metric: str, axes: Axes | None = None
) -> Axes:
    """Heat map of a metric of all heads; heads with a pattern are outlined.

    Colours go from 0 to the metric's upper bound, or where it has none to
    the largest value here. A line on the colour bar marks equal weights.
    Raises ValueError for a metric that the table does not have.
    """
    values = values_of(table, metric)
    top = metric_named(metric).top
    most = top or largest(np.append(values, table.baselines[metric]))
    axes = axes or axes_of_heads(values)
    image = draw(axes, values, 0, most)
    label = metric if top else up_to(metric, most)
    mark_equal(colour_bar(image, label), table.baselines[metric])
    label_heads(axes, *values.shape)
    write_numbers(image, number_format(most))
    outlined = outline(axes, table, metric)
    equal = f"the line marks equal weights: {table.baselines[metric]:.2g}"
    describe(
        axes,
        [f"{metric} of all heads ({equal})", table.caption, *outlined],
        description(table, metric),
    )
    return axes


def values_of(
    table: MetricTable, metric: str
) -> Float[Array, "layer head"]:
    if metric not in table.values:
        raise ValueError(
            "expected a metric of the table: "
            f"{', '.join(table.values)}, got {metric!r}"
        )
    return table.values[metric]


def axes_of_heads(values: Float[Array, "layer head"]) -> Axes:
    layers, heads = values.shape
    width, height = max(0.46 * heads, 4.6), max(0.42 * layers, 0.8)
    return new_figure(width + 2, height + 2).add_subplot()


def number_format(most: float) -> Callable[[float], str]:
    """The format of numbers up to `most`."""
    return "{:.2f}".format if most < 10 else "{:.1f}".format


def mark_equal(bar: Colorbar, equal: float) -> None:
    """Mark the baseline of equal weights on the colour bar."""
    if np.isfinite(equal):
        bar.ax.axhline(equal, color=OUTLINE, linewidth=2)


def outline(axes: Axes, table: MetricTable, metric: str) -> list[str]:
    """Outline heads with a pattern; return a line of text for each."""
    lines = {}
    for pattern in PATTERNS:
        if pattern.metric == metric:
            style = ("-", ":")[len(lines)]
            heads = heads_of(table, pattern.name)
            lines[outline_text(pattern, style)] = len(heads)
            for layer, head, _ in heads:
                axes.add_patch(box(layer, head, style))
    return [line for line, count in lines.items() if count]


def outline_text(pattern: Pattern, style: str) -> str:
    kind = "outlined" if style == "-" else "outlined with dots"
    name = "" if pattern.name == pattern.metric else f"{pattern.name}, "
    return f"{kind}: {name}{pattern.condition}"


def box(layer: int, head: int, style: str) -> Rectangle:
    return Rectangle(
        (head - 0.46, layer - 0.46),
        *(0.92, 0.92),
        fill=False,
        edgecolor=OUTLINE,
        linewidth=2,
        linestyle=style,
    )


def description(table: MetricTable, metric: str) -> str:
    values = values_of(table, metric)
    layers, heads = values.shape
    text = (
        f"A heat map of {metric} with its number in each cell, {layers} "
        f"layers from the top by {heads} heads"
    )
    if not np.isfinite(values).any():
        return f"{text}; it is not defined here."
    layer, head = np.unravel_index(np.nanargmax(values), values.shape)
    return (
        f"{text}. The largest is {values[layer, head]:.3g}, of head {head} "
        f"in layer {layer}; equal weights would give "
        f"{table.baselines[metric]:.3g}."
    )
