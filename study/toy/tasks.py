"""Tasks for a toy: sequences of digits to copy, to reverse, to sort."""

from collections.abc import Callable, Collection

import numpy as np
from numpy.random import Generator

from numpy_ref.training.transformer import Pairs

Sequence = tuple[int, ...]

TOKENS = ("[PAD]", "[BEGIN]", "[END]", *"0123456789")
PAD, BEGIN, END, FIRST = range(4)  # FIRST is the digit 0

TASKS: dict[str, Callable[[Sequence], Sequence]] = {
    "copy": lambda source: source,
    "reverse": lambda source: source[::-1],
    "sort": lambda source: tuple(sorted(source)),
}


def draw_sources(
    generator: Generator,
    count: int,
    length: int,
    without: Collection[Sequence] = (),
) -> list[Sequence]:
    """Random sources of half the length to all of it, none of `without`."""
    sources = []
    while len(sources) < count:
        digits = generator.integers(
            FIRST, len(TOKENS), generator.integers(length // 2, length + 1)
        )
        source = tuple(digits.tolist())
        if source not in without:
            sources.append(source)
    return sources


def pairs_of(
    sources: list[Sequence], task: Callable[[Sequence], Sequence]
) -> Pairs:
    """Sources with what the task makes of them, padded behind.

    >>> pairs = pairs_of([(4, 3), (5,)], TASKS["reverse"])
    >>> pairs.target_ids
    array([[1, 3, 4],
           [1, 5, 0]])
    >>> pairs.targets
    array([[3, 4, 2],
           [5, 2, 0]])
    """
    answers = [task(source) for source in sources]
    source_ids = padded(sources)
    return Pairs(
        source_ids,
        padded([(BEGIN, *answer) for answer in answers]),
        padded([(*answer, END) for answer in answers]),
        source_ids != PAD,
    )


def padded(rows: list[Sequence]) -> np.ndarray:
    """Rows of ids as one array, with padding behind the shorter ones."""
    longest = max(map(len, rows))
    return np.array([(*row, *[PAD] * (longest - len(row))) for row in rows])
