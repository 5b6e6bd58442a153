"""A walk as JSON."""

import json
import math

from .run import Shown, Walk, a_row_of, sizes

MOST_VALUES = 8


def as_json(walk: Walk) -> str:
    """The stops and the verdict; an infinite difference becomes null."""
    tally = walk.tally
    return json.dumps(
        {
            "about": walk.about,
            "counts": walk.counts,
            "tokens": walk.tokens[:MOST_VALUES],
            "ids": walk.ids[:MOST_VALUES],
            "segments": walk.segments[:MOST_VALUES],
            "merging": walk.merging,
            "steps": [step(shown) for shown in walk.shown],
            "guesses": walk.guesses,
            "compared": tally.compared,
            "too_wide_to_check": tally.wide,
            "worst_share": finite(tally.worst.share),
            "worst_path": tally.worst.path,
            "agree": tally.holds,
        },
        indent=2,
    )


def step(shown: Shown) -> dict:
    """One stop, with the first few values of one row from both sides."""
    ours, at = a_row_of(shown, shown.comparison.ours)
    theirs, _ = a_row_of(shown, shown.comparison.theirs)
    return {
        "name": shown.stop.title,
        "path": shown.comparison.path,
        "equation": shown.stop.equation,
        "shape": sizes(shown.comparison.ours),
        "axes": shown.stop.axes,
        "numpy_lines": shown.numpy_lines,
        "torch_lines": shown.torch_lines,
        "values_at": at,
        "numpy_values": ours[:MOST_VALUES],
        "torch_values": theirs[:MOST_VALUES],
        "difference": finite(shown.comparison.difference),
        "bound": shown.comparison.bound,
        "share": finite(shown.comparison.share),
    }


def finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
