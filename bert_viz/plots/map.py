"""The heads on a map: those that look alike lie near each other."""

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

MARKERS = "osD^vP*X<>hd"  # one a layer, so that no layer is a colour alone
MOST_NAMES = 3  # of one pattern that are named on the map


def plot_map(attention: Attention, axes: Axes | None = None) -> Axes:
    """A point for each head, with a colour and a marker for each layer.

    Beside it stands layer.head, where there is room; the clearest heads
    of each pattern are bold, and named above.
    """
    places, share = head_map(attention)
    axes = axes or new_figure(10, 8).add_subplot()
    for layer, points in enumerate(places):
        axes.scatter(
            *points.T,
            s=46,
            color=shade(layer, len(places)),
            marker=MARKERS[layer % len(MARKERS)],
            edgecolors="black",
            linewidths=0.4,
            label=f"{layer}",
        )
    axes.legend(title="layer", loc="upper left", bbox_to_anchor=(1.01, 1))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(
        xlabel="direction of most spread, in JS distance",
        ylabel="direction of next most spread",
    )
    names = names_of(attention)
    write_numbers(axes, places, set(chain(*names.values())))
    describe(
        axes,
        [
            f"Heads that look alike lie near; {share:.0%} of the "
            "spread is seen here",
            attention.about,
            attention.rows,
            *([f"bold: {'; '.join(told(names))}"] if names else []),
        ],
        f"A scatter plot of {places.shape[0]} × {places.shape[1]} heads, "
        f"near each other where they look alike. The clearest, as "
        f"layer.head: {'; '.join(told(names)) or 'none has a name'}.",
    )
    return axes


def shade(layer: int, layers: int) -> tuple:
    return matplotlib.colormaps["viridis"](layer / max(layers - 1, 1))


def names_of(attention: Attention) -> dict[str, list[tuple[int, int]]]:
    """Of each pattern its clearest heads, as layer and head."""
    named = named_heads(metric_table(attention))
    return {
        name: [(layer, head) for layer, head, _ in heads[:MOST_NAMES]]
        for name, heads in named.items()
    }


def write_numbers(
    axes: Axes, places: Float[Array, "layer head 2"], bold: set
) -> None:
    """Beside a point its layer.head, where there is room.

    The named heads are bold, come first, and are written anyway.
    """
    axes.apply_aspect()
    heads = list(np.ndindex(places.shape[:2]))
    to_points = 72 / axes.figure.dpi
    flat = axes.transData.transform(places.reshape(-1, 2))
    points = (to_points * flat).reshape(places.shape)
    taken = [Bbox.from_bounds(*points[one] - 2, 4, 4) for one in heads]
    for one in sorted(heads, key=lambda head: head not in bold):
        text = "{}.{}".format(*one)
        size = 8 if one in bold else 6.5
        boxes = boxes_beside(points[one], 0.65 * size * len(text), size)
        free = [box for box in boxes if not box.count_overlaps(taken)]
        if free or one in bold:
            box = (free or boxes)[0]
            taken.append(box)
            axes.annotate(
                text,
                places[one],
                xytext=box.p0 - points[one],
                textcoords="offset points",
                fontsize=size,
                fontweight="bold" if one in bold else "normal",
            )


def boxes_beside(
    point: Float[Array, "2"], width: float, height: float
) -> list[Bbox]:
    """Where a label may stand, the best place first."""
    offsets = (
        *((4, 1), (4, -1 - height), (-4 - width, 1)),
        *((-4 - width, -1 - height), (-width / 2, 5)),
    )
    return [
        Bbox.from_bounds(*(point + offset), width, height)
        for offset in offsets
    ]


def told(names: dict[str, list[tuple[int, int]]]) -> list[str]:
    """Each pattern with its heads, as a line."""
    return [
        f"{name} {', '.join(f'{layer}.{head}' for layer, head in heads)}"
        for name, heads in names.items()
    ]
