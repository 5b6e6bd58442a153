"""Attention patterns: names for what heads do, by stated thresholds.

A head has a pattern when its metric is at least the threshold, and at
least twice what equal weights give, so that a short text names no head by
chance. "Broad", "sharp" and "other text" go by their threshold alone. The
thresholds are ours, except half of the weight, which is that of Clark et
al. 2019, section 3.2 ("over half their attention").
"""

from typing import NamedTuple

import numpy as np

from .metric_table import MetricTable

TIMES_EQUAL = 2


class Pattern(NamedTuple):
    """A name for heads whose metric is from `least` to `most`."""

    name: str
    metric: str
    least: float
    most: float = np.inf
    against_equal: bool = True

    @property
    def condition(self) -> str:
        """What the metric must be, in words."""
        if self.most < np.inf:
            return f"{self.metric} at most {self.most:g}"
        baseline = f" and {TIMES_EQUAL} times that of equal weights"
        return (
            f"{self.metric} at least {self.least:g}"
            f"{baseline if self.against_equal else ''}"
        )


PATTERNS = (
    Pattern("previous token", "previous token", 0.5),
    Pattern("next token", "next token", 0.5),
    Pattern("self", "self", 0.5),
    Pattern("looks at [CLS]", "[CLS]", 0.5),
    Pattern("looks at [SEP]", "[SEP]", 0.5),
    Pattern("first token", "first token", 0.5),
    Pattern("punctuation", "punctuation", 0.3),
    Pattern("same token", "same token", 0.3),
    Pattern("other text", "other text", 0.75, against_equal=False),
    Pattern("broad", "entropy", 0.9, against_equal=False),
    Pattern("sharp", "entropy", -np.inf, most=0.1, against_equal=False),
)
BY_NAME = {pattern.name: pattern for pattern in PATTERNS}


class NamedHead(NamedTuple):
    """A head with a pattern, and the value of the pattern's metric."""

    layer: int
    head: int
    value: float


def heads_of(table: MetricTable, pattern: str) -> list[NamedHead]:
    """The heads with this pattern, the clearest first.

    Raises ValueError for an unknown pattern.
    """
    if pattern not in BY_NAME:
        raise ValueError(
            f"expected a pattern: {', '.join(BY_NAME)}, got {pattern!r}"
        )
    _, metric, least, most, against_equal = BY_NAME[pattern]
    if metric not in table.values:
        return []
    values = table.values[metric]
    if against_equal:
        least = max(least, TIMES_EQUAL * table.baselines[metric])
    heads = [
        NamedHead(int(layer), int(head), float(values[layer, head]))
        for layer, head in np.argwhere((values >= least) & (values <= most))
    ]
    return sorted(
        heads, key=lambda head: head.value, reverse=most == np.inf
    )


def named_heads(table: MetricTable) -> dict[str, list[NamedHead]]:
    """Every pattern that some head has, with its heads."""
    by_pattern = {
        pattern.name: heads_of(table, pattern.name) for pattern in PATTERNS
    }
    return {name: heads for name, heads in by_pattern.items() if heads}
