"""Tick labels of tokens: short, visible, as many as have room."""

from collections.abc import Sequence

from matplotlib.axis import Axis

from ..spelling import readable
from .describing import as_words

SIZE = 8  # points
LINE = 1.35  # from one label to the next, in units of SIZE


def token_labels(tokens: Sequence[str]) -> list[str]:
    return [readable(token) for token in tokens]


def label_tokens(axis: Axis, labels: Sequence[str], name: str) -> None:
    """Label an axis with tokens, every k-th where there are many."""
    step = -(-len(labels) // most_labels(axis))
    axis.set_ticks(
        range(0, len(labels), step),
        labels[::step],
        fontsize=SIZE,
        rotation=90 if axis.axis_name == "x" else 0,
        **as_words(),
    )
    some = f" (one in {step} labelled)" if step > 1 else ""
    axis.set_label_text(f"{name}{some}")


def most_labels(axis: Axis) -> int:
    """How many labels find room along an axis."""
    axis.axes.apply_aspect()
    box = axis.axes.get_window_extent()
    pixels = box.width if axis.axis_name == "x" else box.height
    points = pixels / axis.axes.figure.dpi * 72
    return max(int(points / (SIZE * LINE)), 1)
