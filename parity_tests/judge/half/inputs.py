"""Inputs in bfloat16 and float16 that bring out what a kernel rounds.

Each kind of input puts weight on another part of attention: where scores
are large their rounding shows, where weights are alike that of the sum,
where values cancel that of the output.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .kernels import half_type

# Texts, queries, keys, features of a key and of a value: one key, a few,
# and both sides of tiles of 16, 32, 64 and 128 keys.
SHAPES = (
    *((2, 3, 1, 8, 8), (2, 4, 2, 8, 8), (2, 4, 5, 24, 16)),
    *((2, 4, 16, 32, 32), (2, 5, 17, 40, 16), (2, 4, 33, 64, 64)),
    *((2, 3, 64, 48, 48), (2, 4, 65, 128, 32), (2, 4, 127, 16, 16)),
    *((2, 3, 129, 64, 64), (1, 2, 200, 256, 32), (2, 4, 257, 32, 32)),
)
LONG_SHAPES = (
    *((1, 2, 512, 64, 64), (1, 3, 513, 40, 40), (1, 2, 1025, 16, 16)),
    *((1, 1, 1000, 128, 64), (1, 1, 2048, 32, 32)),
)
# Long ones seldom: they take as much time as ten others.
ALL_SHAPES = SHAPES * 5 + LONG_SHAPES


class Drawn(NamedTuple):
    """Random numbers to make one text's input of.

    `query`, `key` and `value` are normally distributed, and `width` is a
    factor for the queries, of 0.05 to 30.
    """

    generator: np.random.Generator
    dtype: str
    width: float
    query: np.ndarray
    key: np.ndarray
    value: np.ndarray

    @property
    def spread(self) -> np.ndarray:
        return self.query * self.width

    @property
    def tame(self) -> np.ndarray:
        """Queries that are not widened."""
        return self.query * min(self.width, 1)

    def half(self, numbers) -> np.ndarray:
        return numbers.astype(half_type(self.dtype)).astype(float)

    def power(self, least: float, most: float) -> float:
        """A number between two powers of ten."""
        return 10 ** self.generator.uniform(least, most)


Kind = Callable[[Drawn], tuple[np.ndarray, np.ndarray, np.ndarray]]
KINDS: dict[str, Kind] = {}


def kind(draw: Kind) -> Kind:
    KINDS[draw.__name__.replace("_", " ")] = draw
    return draw


@kind
def plain(drawn):
    """Normally distributed, with scores from flat to peaked."""
    return drawn.spread, drawn.key, drawn.value


@kind
def one_hot(drawn):
    """One key takes nearly all: the output is its value, rounded once."""
    return drawn.query * 100, drawn.key, drawn.value


@kind
def flat(drawn):
    """All keys weigh the same, or nearly."""
    small = drawn.generator.choice([0, 1e-3])
    return drawn.query * small, drawn.key, drawn.value


@kind
def key_offset(drawn):
    """All keys lie to one side: scores are large, and alike."""
    side = drawn.generator.standard_normal(drawn.key.shape[-1])
    return drawn.tame, drawn.key + side * drawn.power(0, 2), drawn.value


@kind
def value_offset(drawn):
    """All values lie to one side: what normalises them shows."""
    side = drawn.generator.standard_normal(drawn.value.shape[-1])
    value = drawn.value + side * drawn.power(0, 2.5)
    return drawn.spread, drawn.key, value


@kind
def cancelling_values(drawn):
    """Values near 10 and -10 by turns: what is left is small."""
    signs = np.where(np.arange(len(drawn.value)) % 2, 10.0, -10.0)
    value = (1 + 0.01 * drawn.value) * signs[:, None]
    return drawn.query * min(drawn.width, 0.3), drawn.key, value


@kind
def positive(drawn):
    """No sum cancels: errors of one sign add up."""
    return abs(drawn.query), abs(drawn.key), abs(drawn.value) + 1


@kind
def lattice(drawn):
    """Small integers: scores are exact, and many are equal."""
    arrays = drawn.query, drawn.key, drawn.value
    return tuple(drawn.generator.integers(-3, 4, a.shape) for a in arrays)


@kind
def heavy_tails(drawn):
    """A few numbers are far larger than the rest."""
    normal = drawn.generator.standard_normal
    key = drawn.key * np.exp(normal(drawn.key.shape))
    value = drawn.value * np.exp(1.5 * normal(drawn.value.shape))
    return drawn.tame, key, value


@kind
def tiny(drawn):
    """Values near the smallest numbers that float16 has."""
    return drawn.spread, drawn.key, drawn.value * drawn.power(-6, -3)


@kind
def two_level(drawn):
    """One key ahead of all others, whose equal weights round alike."""
    generator = drawn.generator
    query, key = np.zeros_like(drawn.query), np.zeros_like(drawn.key)
    query[:, 0] = query.shape[-1] ** 0.5
    key[:, 0] = -generator.uniform(0.1, 6)
    key[generator.integers(len(key)), 0] = 0
    ones = generator.choice([1, 1.99], (len(key), 1))
    value = np.ones_like(drawn.value) * drawn.power(-1, 1) * ones
    return query, key, value


@kind
def equal_keys(drawn):
    """All scores 0, and values that are equal, or nearly."""
    value = np.broadcast_to(abs(drawn.value[:1]), drawn.value.shape)
    apart = drawn.generator.choice([0, 0.01]) * drawn.value
    return drawn.query * 0, drawn.key, value + apart


@kind
def aligned_values(drawn):
    """Values whose signs are those of what rounding did to the weights."""
    query, key = drawn.half(drawn.spread), drawn.half(drawn.key)
    scores = query[0] @ key.T * query.shape[-1] ** -0.5
    weights = np.exp(scores - scores.max())
    if drawn.generator.random() < 0.5:
        weights = weights / weights.sum()
    upward = drawn.half(weights) >= weights
    signs = np.where(upward, 1, -1)[:, None]
    return query, key, abs(drawn.value) * signs


@kind
def huge_scores(drawn):
    """Scores of thousands, as far as the format goes."""
    widths = {"bfloat16": (300, 30), "float16": (60, 5)}[drawn.dtype]
    return drawn.query * widths[0], drawn.key * widths[1], drawn.value


@kind
def low_scores(drawn):
    """All scores far below 0: where -10,000 hides nothing."""
    d_head = drawn.key.shape[-1]
    most = {"bfloat16": 1e6, "float16": 6e4}[drawn.dtype]
    dot = min(10500 * d_head**0.5, most)
    query = dot / (50 * d_head) * (1 + 0.001 * abs(drawn.query))
    return query, -50 * (1 + 0.001 * abs(drawn.key)), drawn.value


@kind
def sorted_up(drawn):
    """The maximum moves with every tile."""
    order = np.argsort(drawn.key @ drawn.query[0])
    return drawn.spread, drawn.key[order], drawn.value


@kind
def late_spike(drawn):
    """One of the last keys takes most of the weight."""
    query, key, value = drawn.spread, drawn.key.copy(), drawn.value.copy()
    late = -drawn.generator.integers(1, min(3, len(key)) + 1)
    key[late] = 2 * query[0] / max(abs(query[0]).max(), 1e-3)
    value[late] = 3 * value[late]
    return query, key, value


def half_inputs(
    generator: np.random.Generator,
    shape: tuple[int, int, int, int, int],
    kind: str,
    dtype: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Query, key and value in half, of a kind, each (texts, tokens, d)."""
    texts, queries, keys, d_head, d_value = shape
    sizes = (queries, d_head), (keys, d_head), (keys, d_value)
    drawn = []
    for _ in range(texts):
        width = np.exp(generator.uniform(np.log(0.05), np.log(30)))
        arrays = (generator.standard_normal(size) for size in sizes)
        drawn.append(KINDS[kind](Drawn(generator, dtype, width, *arrays)))
    stacked = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
    with np.errstate(over="ignore"):
        return tuple(array.astype(half_type(dtype)) for array in stacked)


MASKS = "none", "causal", "padding", "random"


def half_mask(
    generator: np.random.Generator,
    shape: tuple[int, int, int, int, int],
    kind: str,
) -> np.ndarray | None:
    """A mask (texts, queries, keys) that leaves each query one key."""
    texts, queries, keys = shape[:3]
    full = np.ones((texts, queries, keys), bool)
    match kind:
        case "none":
            return None
        case "causal":
            mask = np.tril(full, max(keys - queries, 0))
        case "padding":
            lengths = generator.integers(1, keys + 1, (texts, 1, 1))
            mask = full & (np.arange(keys) < lengths)
        case "random":
            mask = generator.random(full.shape) < 0.5
            seen = generator.integers(keys, size=(texts, queries, 1))
            mask = mask | (np.arange(keys) == seen)
    return mask
