"""One number for each head: a metric, or how two texts differ in it."""

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
    """A metric of all heads; those it gives a name to are outlined.

    The colours go from 0 to the most that the metric can be, or for one
    that has no such bound to the largest here. Equal weights are marked
    on the colour bar. Raises ValueError for a metric that the table does
    not have.
    """
    values = values_of(table, metric)
    top = metric_named(metric).top
    most = top or largest(np.append(values, table.baselines[metric]))
    axes = axes or grid_axes(values)
    image = draw(axes, values, 0, most)
    name = metric if top else up_to(metric, most)
    mark(colour_bar(image, name), table.baselines[metric])
    label_heads(axes, *values.shape)
    write_numbers(image, number_of(most))
    found = outline(axes, table, metric)
    equal = f"equal weights, the line: {table.baselines[metric]:.2g}"
    describe(
        axes,
        [f"{metric} of all heads ({equal})", table.caption, *found],
        words(table, metric),
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


def grid_axes(values: Float[Array, "layer head"]) -> Axes:
    layers, heads = values.shape
    width, height = max(0.46 * heads, 4.6), max(0.42 * layers, 0.8)
    return new_figure(width + 2, height + 2).add_subplot()


def number_of(most: float):
    """How a number is written that may be as large as that."""
    return "{:.2f}".format if most < 10 else "{:.1f}".format


def mark(bar: Colorbar, equal: float) -> None:
    """A line on the colour bar where equal weights would be."""
    if np.isfinite(equal):
        bar.ax.axhline(equal, color=OUTLINE, linewidth=2)


def outline(axes: Axes, table: MetricTable, metric: str) -> list[str]:
    """Outline the heads with a name; return the names, as told."""
    lines = {}
    for pattern in PATTERNS:
        if pattern.metric == metric:
            style = ("-", ":")[len(lines)]
            heads = heads_of(table, pattern.name)
            lines[told(pattern, style)] = len(heads)
            for layer, head, _ in heads:
                axes.add_patch(box(layer, head, style))
    return [line for line, count in lines.items() if count]


def told(pattern: Pattern, style: str) -> str:
    kind = "outlined" if style == "-" else "outlined with dots"
    name = "" if pattern.name == pattern.metric else f"{pattern.name}, "
    return f"{kind}: {name}{pattern.words}"


def box(layer: int, head: int, style: str) -> Rectangle:
    return Rectangle(
        (head - 0.46, layer - 0.46),
        *(0.92, 0.92),
        fill=False,
        edgecolor=OUTLINE,
        linewidth=2,
        linestyle=style,
    )


def words(table: MetricTable, metric: str) -> str:
    values = values_of(table, metric)
    layers, heads = values.shape
    text = (
        f"A heat map of {metric} with its number in each cell, {layers} "
        f"layers from above by {heads} heads"
    )
    if not np.isfinite(values).any():
        return f"{text}; it is not defined here."
    layer, head = np.unravel_index(np.nanargmax(values), values.shape)
    return (
        f"{text}. The largest is {values[layer, head]:.3g}, of head {head} "
        f"in layer {layer}; equal weights would give "
        f"{table.baselines[metric]:.3g}."
    )
