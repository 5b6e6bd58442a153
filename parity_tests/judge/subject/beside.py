"""Learned beside the projections: a scale, and numbers of distances.

Scores may be multiplied by a number that is learned, one for all heads or
one for each, in place of 1/√d_head or beside it.

In a window of an image, tokens are its pixels, row by row: to the score
of two of them each head may add a number that it has learned for how far
apart they are (Liu et al. 2021, section 3.2). In a text it is a number
for each bucket of distances (Raffel et al. 2020, section 2.1).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from numpy_ref.variants.relative_positions import relative_buckets
from parity_tests.judge.candidate.things import Thing

LONGEST = 96  # text that a layer is asked with
# Whether a parameter is a table of distances, by its name.
TABLE = re.compile(
    r"rel(ative)?_?(att(entio)?n_?)?(pos|coord|bias|dist)|\brpb", re.I
)
IN_WINDOWS = re.compile(
    r"rel(ative)?_?(pos(ition)?|coords?)\w*_?(bias|ind(ex|ices)|table)|"
    r"\brpb(_?table)?\b"
)
# Queries and keys of unit length: their products are cosines.
COSINES = re.compile(
    r"cosine_similarity\(|l2_?norm|cos_?sim|\.norm\([^\n]*keepdim",
    re.I,
)
NORMALIZE = re.compile(r"(def )?\bnormalize\(", re.I)

FACTORS = {  # of scores, from a number x that is learned
    "x": lambda number: number,
    "exp(x)": np.exp,
    "1 / x": lambda number: 1 / number,
    "1 / exp(x)": lambda number: np.exp(-number),
}


@dataclass(frozen=True)
class LearnedScale:
    """A learned scale: its name, and which of FACTORS the scores are
    multiplied by."""

    label: str
    factor: str

    def __str__(self) -> str:
        return re.sub(r"\bx\b", self.label, self.factor)

    def of(self, number: np.ndarray) -> np.ndarray:
        """The factor: a number, or an axis of heads and two of ones."""
        wide = number.astype(np.result_type(number, np.float64))
        factor = FACTORS[self.factor](wide)
        return factor.reshape(() if factor.size == 1 else (-1, 1, 1))


def may_scale(shape: tuple[int, ...], heads: int) -> bool:
    """Whether it is one number, or one for each head along the axes of
    the scores."""
    of_heads = len(shape) > 2 and heads == prod(shape) == shape[-3]
    return prod(shape) == 1 or of_heads


def scales_of(labels: list[str]) -> Iterator[LearnedScale]:
    """What scores may be multiplied by, from the likeliest on."""
    for each in product(labels, FACTORS):
        yield LearnedScale(*each)


@dataclass(frozen=True)
class Distances:
    """A table of distances: its name, and the sizes of the window; it
    counts from the key to the query, or `backwards`."""

    label: str
    window: tuple[int, ...]
    backwards: bool = False

    def bias(self, table: np.ndarray) -> np.ndarray:
        """What is added to scores, of (heads, query, key). Raises
        ValueError if the table has other sizes."""
        sizes = tuple(2 * size - 1 for size in self.window)
        count = prod(sizes)
        by_head = table.shape[-1] == count != table.shape[0]
        if by_head or table.shape[-len(sizes) :] == sizes:
            rows = table.reshape(-1, count).T
        else:
            rows = table.reshape(count, -1)
        index = distances_in(self.window)
        index = index.T if self.backwards else index
        return np.moveaxis(rows[index], -1, 0)


@dataclass(frozen=True)
class Buckets:
    """A table of buckets of distances, as in T5: its name, the distance
    from which on all are in the last one, and whether later keys have
    buckets of their own."""

    label: str
    max_distance: int
    both_ways: bool

    def __str__(self) -> str:
        side = "on both sides" if self.both_ways else "of earlier keys"
        return f"of buckets of distances up to {self.max_distance}, {side}"

    def bias(self, table: np.ndarray) -> np.ndarray:
        """What is added to scores, of (heads, query, key), of the longest
        text. Raises ValueError if the table cannot be of buckets."""
        if table.ndim != 2:
            raise ValueError(f"a table with {table.ndim} axes")
        ways = self.max_distance, self.both_ways
        buckets = relative_buckets(LONGEST, LONGEST, len(table), *ways)
        return np.moveaxis(table[buckets], -1, 0)


def distances_in(window: tuple[int, ...]) -> np.ndarray:
    """The number of each distance, from every key to every query: first
    how many rows, then how many columns.

    >>> distances_in((3,))
    array([[2, 1, 0],
           [3, 2, 1],
           [4, 3, 2]])
    """
    places = np.indices(window).reshape(len(window), -1)
    apart = places[:, :, None] - places[:, None, :]
    most = np.array(window)[:, None, None] - 1
    sizes = [2 * size - 1 for size in window]
    return np.ravel_multi_index(tuple(apart + most), sizes)


def has_cosines(thing: Thing) -> bool:
    """Whether its queries and keys seem to be made unit vectors: by what
    is called normalize, too, unless the file defines it and so tells."""
    written = thing.source + thing.helpers
    normalizes = {*NORMALIZE.findall(written)} == {""}
    return normalizes or COSINES.search(written) is not None
