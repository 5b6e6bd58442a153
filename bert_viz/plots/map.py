"""Map of heads: those that look alike lie close together."""

from itertools import chain

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox
from numpy import ndarray as Array

from ..attention import Attention
from ..measures.head_map import head_map
from ..measures.metric_table import metric_table
from ..measures.patterns import named_heads
from .describing import describe
from .heat_map import new_figure

MARKERS = "osD^vP*X<>hd"  # for layers, so that colour alone tells nothing
MOST_NAMED = 3  # heads of a pattern that the map names


def plot_map(attention: Attention, axes: Axes | None = None) -> Axes:
    """Map with a point for each head; colour and marker show the layer.

    Points are labelled layer.head where there is room; the clearest heads
    of each pattern are bold, and listed in the title.
    """
    points, share = head_map(attention)
    axes = axes or new_figure(10, 8).add_subplot()
    for layer, heads in enumerate(points):
        axes.scatter(
            *heads.T,
            s=46,
            color=shade(layer, len(points)),
            marker=MARKERS[layer % len(MARKERS)],
            edgecolors="black",
            linewidths=0.4,
            label=f"{layer}",
        )
    axes.legend(title="layer", loc="upper left", bbox_to_anchor=(1.01, 1))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(
        xlabel="direction of largest spread, in Jensen-Shannon distance",
        ylabel="direction of second largest spread",
    )
    named = clearest_heads(attention)
    lists = "; ".join(head_lists(named))
    label_points(axes, points, set(chain(*named.values())))
    describe(
        axes,
        [
            "Heads that look alike lie close together; the map shows "
            f"{share:.0%} of the spread",
            attention.about,
            attention.rows,
            *([f"bold: {lists}"] if named else []),
        ],
        f"A scatter plot of {points.shape[0]} × {points.shape[1]} heads, "
        "close together where they look alike. The clearest heads of each "
        f"pattern, as layer.head: {lists or 'no head has a pattern'}.",
    )
    return axes


def shade(layer: int, layers: int) -> tuple:
    return matplotlib.colormaps["viridis"](layer / max(layers - 1, 1))


def clearest_heads(
    attention: Attention,
) -> dict[str, list[tuple[int, int]]]:
    """The clearest heads of each pattern, as layer and head."""
    by_pattern = named_heads(metric_table(attention))
    return {
        name: [(layer, head) for layer, head, _ in heads[:MOST_NAMED]]
        for name, heads in by_pattern.items()
    }


def label_points(
    axes: Axes, points: Float[Array, "layer head 2"], bold: set
) -> None:
    """Label each point with its layer.head, where there is room.

    Heads in `bold` come first, and are labelled in any case.
    """
    axes.apply_aspect()
    heads = list(np.ndindex(points.shape[:2]))
    per_pixel = 72 / axes.figure.dpi  # typographic points
    pixels = axes.transData.transform(points.reshape(-1, 2))
    drawn = (per_pixel * pixels).reshape(points.shape)
    occupied = [Bbox.from_bounds(*drawn[head] - 2, 4, 4) for head in heads]
    for head in sorted(heads, key=lambda head: head not in bold):
        text = "{}.{}".format(*head)
        size = 8 if head in bold else 6.5
        boxes = boxes_beside(drawn[head], 0.65 * size * len(text), size)
        free = [box for box in boxes if not box.count_overlaps(occupied)]
        if free or head in bold:
            box = (free or boxes)[0]
            occupied.append(box)
            axes.annotate(
                text,
                points[head],
                xytext=box.p0 - drawn[head],
                textcoords="offset points",
                fontsize=size,
                fontweight="bold" if head in bold else "normal",
            )


def boxes_beside(
    point: Float[Array, "2"], width: float, height: float
) -> list[Bbox]:
    """Boxes in which a label may stand, the best first."""
    offsets = (
        *((4, 1), (4, -1 - height), (-4 - width, 1)),
        *((-4 - width, -1 - height), (-width / 2, 5)),
    )
    return [
        Bbox.from_bounds(*(point + offset), width, height)
        for offset in offsets
    ]


def head_lists(named: dict[str, list[tuple[int, int]]]) -> list[str]:
    """Each pattern with its heads: "self 1.0, 2.3"."""
    return [
        f"{name} {', '.join(f'{layer}.{head}' for layer, head in heads)}"
        for name, heads in named.items()
    ]
