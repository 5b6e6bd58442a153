"""A walk as JSON, for machines."""

import json
import math

from .run import Shown, Walk, a_row_of, sizes

MOST_VALUES = 8


def as_json(walk: Walk) -> str:
    """The stops, and the verdict; an infinite difference stands as null."""
    tally = walk.tally
    return json.dumps(
        {
            "about": walk.about,
            "counts": walk.counts,
            "tokens": walk.tokens[:MOST_VALUES],
            "ids": walk.ids[:MOST_VALUES],
            "segments": walk.segments[:MOST_VALUES],
            "merging": walk.merging,
            "steps": [step(one) for one in walk.shown],
            "guesses": walk.guesses,
            "compared": tally.compared,
            "too_wide_to_check": tally.wide,
            "worst_share": finite(tally.worst.share),
            "worst_path": tally.worst.path,
            "agree": tally.holds,
        },
        indent=2,
    )


def step(one: Shown) -> dict:
    """One stop, with the first few values of one row from both sides."""
    ours, at = a_row_of(one, one.comparison.ours)
    theirs, _ = a_row_of(one, one.comparison.theirs)
    return {
        "name": one.stop.title,
        "path": one.comparison.path,
        "equation": one.stop.equation,
        "shape": sizes(one.comparison.ours),
        "axes": one.stop.axes,
        "numpy_lines": one.numpy_lines,
        "torch_lines": one.torch_lines,
        "values_at": at,
        "numpy_values": ours[:MOST_VALUES],
        "torch_values": theirs[:MOST_VALUES],
        "difference": finite(one.comparison.difference),
        "bound": one.comparison.bound,
        "share": finite(one.comparison.share),
    }


def finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
