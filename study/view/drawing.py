"""Plots of `twice view`, by kind."""

import sys
import warnings
from pathlib import Path

from matplotlib.figure import Figure

from bert_viz.attention import Attention
from bert_viz.measures.metric_table import MetricTable
from bert_viz.plots.head import plot_head
from bert_viz.plots.heads import plot_heads
from bert_viz.plots.links import plot_links
from bert_viz.plots.map import plot_map
from bert_viz.plots.metrics import plot_metric
from bert_viz.plots.norms import plot_norms
from bert_viz.plots.rollout import plot_rollout
from bert_viz.plots.saving import save
from bert_viz.plots.tokens import plot_tokens

COLUMNS = 3


def figure_of(
    kind: str,
    attention: Attention,
    table: MetricTable,
    layer: int | None,
    head: int | None,
    tokens: list[str | int],
) -> Figure:
    """The plot of that kind. Raises ValueError as the plots do."""
    if kind == "metrics":
        return figure_of_metrics(table)
    if kind == "tokens":
        return plot_tokens(attention, tokens)
    if kind == "links":
        return plot_links(attention, tokens)
    if kind == "norms":
        return plot_norms(attention, layer, head)
    if kind == "head":
        return plot_head(attention, layer, head).figure
    if kind == "map":
        return plot_map(attention).figure
    if kind == "rollout":
        last = attention.layers - 1
        return plot_rollout(
            attention, last if layer is None else layer
        ).figure
    return plot_heads(attention).figure


def figure_of_metrics(table: MetricTable) -> Figure:
    """A heat map for each metric."""
    layers, heads = table.shape
    rows = -(-len(table.values) // COLUMNS)
    figure = Figure(
        figsize=(COLUMNS * (2 + 0.5 * heads), rows * (1.4 + 0.5 * layers)),
        layout="constrained",
    )
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for name, axes in zip(table.values, panels, strict=False):
        plot_metric(table, name, axes)
    for axes in panels:  # those that are left over
        axes.set_axis_off()
    return figure


def save_and_say(figure: Figure, path: Path) -> None:
    """Save a plot; what is odd about it goes to standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        save(figure, path)
    for warning in caught:
        print(f"{path}: {warning.message}", file=sys.stderr)
