"""Races of growth: one head's attention by its length, and what it needs.

Textbook attention writes n times n scores; tiles and fused kernels never
have them all. So all take time that grows with the square of the length,
but only the textbook's memory does, and PyTorch's math form's. The fitted
exponent is the slope of a line through the logarithms, from 1,024 tokens
on, where calls no longer count.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from .attention import Size, forward_race
from .races import Race, Row

LENGTHS = tuple(2**power for power in range(7, 15))
FIRST = 1024  # of what a line is fitted to


def races(quick: bool = False) -> Iterator[Race]:
    lengths = LENGTHS[:5] if quick else LENGTHS
    for tokens in lengths:
        size = Size(1, tokens, is_causal=False, heads=1)
        yield forward_race(f"{tokens:,} tokens", size, most_rounds=5)


def lines(rows: list[Row], of: str) -> dict[str, dict[int, float]]:
    """By side the medians of "times", or "peaks", by the length."""
    by_side: dict[str, dict[int, float]] = {}
    for row in rows:
        values = getattr(row, of)
        for side, value in values.items():
            tokens = int(row.work.split()[0].replace(",", ""))
            by_side.setdefault(side, {})[tokens] = float(np.median(value))
    return by_side


def exponent(line: Mapping[int, float]) -> float | None:
    """The power of the length that a line grows with.

    >>> round(exponent({1024: 2.0, 2048: 8.0, 4096: 32.0}), 2)
    2.0
    """
    points = [(n, v) for n, v in line.items() if n >= FIRST and v > 0]
    if len(points) < 2:
        return None
    lengths, values = np.log(np.array(points)).T
    slope, _ = np.polyfit(lengths, values, 1)
    return float(slope)
