"""Names for what heads do, by thresholds that are stated.

A head has a name when its metric is at least the threshold, and at least
twice what equal weights give: so a short text names no head by chance.
"Broad", "sharp" and "other text" go by their threshold alone. The
thresholds are ours, but for a half of the weight, which is that of Clark
et al. 2019, section 3.2 ("over half their attention").
"""

from typing import NamedTuple

import numpy as np

from .metric_table import MetricTable

TIMES_EQUAL = 2


class Pattern(NamedTuple):
    """`least` of a metric, or with `most` at most that."""

    name: str
    metric: str
    least: float
    most: float = np.inf
    beside_equal: bool = True

    @property
    def words(self) -> str:
        """The condition, as a reader is told."""
        if self.most < np.inf:
            return f"{self.metric} at most {self.most:g}"
        twice = f", and {TIMES_EQUAL} times that of equal weights"
        return (
            f"{self.metric} at least {self.least:g}"
            f"{twice if self.beside_equal else ''}"
        )


PATTERNS = (
    Pattern("previous token", "previous token", 0.5),
    Pattern("next token", "next token", 0.5),
    Pattern("self", "self", 0.5),
    Pattern("classifier", "[CLS]", 0.5),
    Pattern("separator", "[SEP]", 0.5),
    Pattern("first token", "first token", 0.5),
    Pattern("punctuation", "punctuation", 0.3),
    Pattern("same token", "same token", 0.3),
    Pattern("other text", "other text", 0.75, beside_equal=False),
    Pattern("broad", "entropy", 0.9, beside_equal=False),
    Pattern("sharp", "entropy", -np.inf, most=0.1, beside_equal=False),
)
BY_NAME = {pattern.name: pattern for pattern in PATTERNS}


class Named(NamedTuple):
    """A head, and how much it does of what it is named for."""

    layer: int
    head: int
    value: float


def heads_of(table: MetricTable, pattern: str) -> list[Named]:
    """The heads that have this name, the clearest first.

    Raises ValueError for a name that no pattern has.
    """
    if pattern not in BY_NAME:
        raise ValueError(
            f"expected a pattern: {', '.join(BY_NAME)}, got {pattern!r}"
        )
    _, metric, least, most, beside_equal = BY_NAME[pattern]
    if metric not in table.values:
        return []
    values = table.values[metric]
    if beside_equal:
        least = max(least, TIMES_EQUAL * table.baselines[metric])
    found = [
        Named(int(layer), int(head), float(values[layer, head]))
        for layer, head in np.argwhere((values >= least) & (values <= most))
    ]
    return sorted(found, key=lambda one: one.value, reverse=most == np.inf)


def named_heads(table: MetricTable) -> dict[str, list[Named]]:
    """All patterns that some head has, with their heads."""
    found = {one.name: heads_of(table, one.name) for one in PATTERNS}
    return {name: heads for name, heads in found.items() if heads}
