"""Rotary tables, by which queries and keys are turned by their positions
(Su et al. 2021): what a call takes, or what a layer makes itself.

One argument takes a table, or two take cosines and sines. The file's own
function makes it where there is one; else it is the standard one, in each
of the usual forms. A form is a `Table`, and what a reference needs of it
is a `Turn`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from parity_tests.bounds.rounding import FUNCTION_ROUNDINGS
from parity_tests.exact.numbers import joined, known_within
from parity_tests.judge.candidate.things import Thing

ROWS = 97  # positions of a table: a number that no other axis has
THETA = 10_000.0
OTHER_BASES, LEAST_BASE = (500_000.0, 1_000_000.0, 1000.0, 100.0), 50
NUMBER = r"(?<![\w.])\d[\d_]*(?:\.\d*)?(?:e\d+)?"
COMPLEX = r"\bpolar\b|\bview_as_complex\b|\b1j\b"
# In a frequency, base ** (-2 i / d): of a power, of its exponent times the
# logarithm of a base of up to a million, and of products.
OF_AN_ANGLE = FUNCTION_ROUNDINGS + 2 * 14 + 4
TABLE = re.compile(
    r"(freqs?|frequencies|rope|rotary|rotation|rot)_?"
    r"(cis|complex|emb(edding)?s?|tables?|cache|pos_?emb|cos_?sin)?|"
    r"(rotary_)?(pos(ition)?_?emb(edding)?s?)"
)
COSINES = re.compile(r"((freqs?|rope|rotary|pos)_)?cos(ines?)?(_\w+)?")
SINES = re.compile(r"((freqs?|rope|rotary|pos)_)?sin(es?)?(_\w+)?")
# What a function that makes a table takes.
COUNT = re.compile(r"end|.*(len|seq|tok|pos|ctx|context|block)\w*|t|n|l|s")
WIDTH = re.compile(r".*dim\w*|d|hd|d_?(head|k|model)|head_?size|n_?elem")
BASE = re.compile(r"(rope_?)?(theta|base)")

PAIRS = {
    "neighbours": lambda d: (np.arange(0, d, 2), np.arange(1, d, 2)),
    "halves": lambda d: (np.arange(d // 2), np.arange(d // 2, d)),
}


def rotary_names(parameters) -> tuple[str, ...]:
    """The required arguments that take a table: one, or the cosines and
    the sines; none where there is no such argument."""
    names = [p.name for p in parameters if p.is_named and p.required]
    both = [
        next((n for n in names if pattern.fullmatch(n.lower())), None)
        for pattern in (COSINES, SINES)
    ]
    if None not in both:
        return tuple(both)
    return tuple(n for n in names if TABLE.fullmatch(n.lower()))[:1]


@dataclass(frozen=True, eq=False)
class Turn:
    """Cosines and sines of (position, pair), and which features are a
    pair: "neighbours", or those of two "halves".

    Each may come with so many `roundings`, where a layer computes them
    itself.
    """

    cos: np.ndarray
    sin: np.ndarray
    pairs: str
    roundings: np.ndarray | float = 0.0

    def at(self, begin: int, like: np.ndarray) -> tuple:
        """Of the positions of an array's tokens, from `begin` on."""
        rows = slice(begin, begin + like.shape[-2])
        dtype = np.result_type(like.dtype, np.float32)
        kind = dtype if dtype.kind == "f" else np.float64
        return self.cos[rows].astype(kind), self.sin[rows].astype(kind)

    def columns(self, width: int) -> tuple[np.ndarray, np.ndarray, list]:
        """The first and the second features of pairs, and the order in
        which both together stand as before."""
        first, second = PAIRS[self.pairs](width)
        return first, second, np.argsort([*first, *second])


def turned(turn: Turn | None, x: np.ndarray, begin: int = 0) -> np.ndarray:
    """Each pair of features, turned by the angle of its position."""
    if turn is None:
        return x
    first, second, order = turn.columns(x.shape[-1])
    cos, sin = turn.at(begin, x)
    a, b = x[..., first], x[..., second]
    both = a * cos - b * sin, a * sin + b * cos
    return np.concatenate(both, axis=-1)[..., order]


def turned_by_the_other_layout(
    turn: Turn | None, x: np.ndarray, begin: int = 0
) -> np.ndarray:
    """Each pair of features, each by the angle that it has in a table that
    is laid out for pairs of the other kind: this is no rotation."""
    if turn is None:
        return x
    first, second, order = turn.columns(x.shape[-1])
    (other,) = PAIRS.keys() - {turn.pairs}
    places = np.argsort(np.concatenate(PAIRS[other](x.shape[-1])))
    cos, sin = (
        np.tile(angles, 2)[:, places] for angles in turn.at(begin, x)
    )
    a, b = x[..., first], x[..., second]
    both = (
        a * cos[:, first] - b * sin[:, first],
        b * cos[:, second] + a * sin[:, second],
    )
    return np.concatenate(both, axis=-1)[..., order]


def turned_exactly(turn: Turn | None, x):
    """The same, with an error bound."""
    if turn is None:
        return x
    first, second, order = turn.columns(x.shape[-1])
    roundings = turn.roundings + np.zeros(turn.cos.shape)
    cos, sin = (
        known_within(t, roundings[: len(t)] * x.rounding.u, x)
        for t in turn.at(0, x.value)
    )
    a, b = (
        x.moved(lambda v: v[..., first]),
        x.moved(lambda v: v[..., second]),
    )
    both = joined([a * cos - b * sin, a * sin + b * cos])
    return both.moved(lambda v: v[..., order])


# --- tables --------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """How a table is made: `make(d_head)` gives one or two arrays, of
    ROWS positions.

    It `is_sure` where no other form could be meant, and `is_inside` where
    no call takes it: the layer turns by it of its own.
    """

    name: str
    make: Callable[[int], object]
    is_sure: bool = False
    is_inside: bool = False

    def rows(self, d_head: int, positions: np.ndarray, dtype):
        """The table's arrays at these positions."""
        wide = np.result_type(dtype, np.complex64)
        return taken(self.make(d_head), positions, dtype, wide)

    def turn(self, d_head: int, pairs: str) -> Turn:
        cos, sin = cosines_and_sines(self.make(d_head), d_head)
        roundings = 0.0
        if self.is_inside:
            places = np.arange(ROWS)[:, None] * np.ones_like(cos)
            roundings = OF_AN_ANGLE * places + FUNCTION_ROUNDINGS
        return Turn(cos, sin, pairs, roundings)


def taken(table, positions: np.ndarray, real, wide):
    if isinstance(table, list | tuple):
        return tuple(taken(part, positions, real, wide) for part in table)
    rows = np.take(table, positions, axis=table.shape.index(ROWS))
    return rows.astype(wide if rows.dtype.kind == "c" else real)


def cosines_and_sines(table, d_head: int) -> tuple | None:
    """Of (ROWS, d_head / 2), as any form of a table holds them; None for
    what is no table that begins with position 0."""
    parts = table if isinstance(table, list | tuple) else [table]
    if not all(
        isinstance(p, np.ndarray) and ROWS in p.shape for p in parts
    ):
        return None
    parts = [
        part.reshape([n for n in part.shape if n > 1]) for part in parts
    ]
    match parts:
        case [array] if array.dtype.kind == "c":
            both = array.real, array.imag
        case [array] if array.ndim == 3 and array.shape[-1] == 2:
            both = array[..., 0], array[..., 1]
        case [array]:
            both = np.cos(array), np.sin(array)
        case [cos, sin]:
            both = cos, sin
        case _:
            return None
    cos, sin = (half_of(each, d_head) for each in both)
    if cos is None or sin is None or not np.allclose(cos**2 + sin**2, 1):
        return None
    begins = np.all(cos[0] == 1) and np.all(sin[0] == 0)
    return (cos, sin) if begins else None


def half_of(array: np.ndarray, d_head: int) -> np.ndarray | None:
    """One number for each pair, where the table has it twice."""
    if array.shape == (ROWS, d_head // 2):
        return array
    if array.shape != (ROWS, d_head):
        return None
    first_half, every_other = array[:, : d_head // 2], array[:, ::2]
    if np.array_equal(np.tile(first_half, 2), array):
        return first_half
    if np.array_equal(np.repeat(every_other, 2, axis=-1), array):
        return every_other
    return None


def angles(d_head: int, theta: float = THETA) -> np.ndarray:
    return angles_at(np.arange(ROWS), d_head, theta)


def angles_at(
    positions: np.ndarray, d_head: int, theta: float = THETA
) -> np.ndarray:
    """The angle of each position and pair of features."""
    frequencies = theta ** -(np.arange(0, d_head, 2) / d_head)
    return np.multiply.outer(positions, frequencies)


WIDTHS = {
    "d_head": lambda a: np.tile(a, 2),
    "d_head / 2": lambda a: a,
    "d_head, each twice": lambda a: np.repeat(a, 2, axis=-1),
}
AXES = {
    "tokens": lambda a: a,
    "1, tokens": lambda a: a[None],
    "1, 1, tokens": lambda a: a[None, None],
}


def standard(count: int) -> Iterator[Table]:
    """The standard table, in each form that so many arguments may have."""
    if count == 1:
        yield Table(
            "complex, (tokens, d_head / 2)",
            lambda d: np.exp(1j * angles(d)),
            True,
        )
        yield Table(
            "(tokens, d_head / 2, cosine and sine)",
            lambda d: np.stack([np.cos(angles(d)), np.sin(angles(d))], -1),
            True,
        )
    forms = list(product(WIDTHS.items(), AXES.items()))
    for (width, widened), (axes, lifted) in forms:

        def whole(d, widened=widened, lifted=lifted):
            return lifted(widened(angles(d)))

        def both(d, whole=whole):
            return np.cos(whole(d)), np.sin(whole(d))

        yield Table(f"cosines and sines, ({axes}, {width})", both)
        if count == 1:
            yield Table(f"angles, ({axes}, {width})", whole)


def own_tables(host, thing: Thing, library: str) -> Iterator[Table]:
    """Those that the file's own functions make."""
    for name, required in thing.tables:
        values = {each: size_taken(each) for each in required}
        if None in values.values():
            continue

        @cache
        def make(d_head, name=name, values=values):
            sizes = {"width": d_head, "count": ROWS, "base": THETA}
            arguments = {n: sizes[size] for n, size in values.items()}
            answer = host.call(name, arguments, {"library": library})
            return answer.get("value")

        yield Table(f"by its {name}", make, True)


def size_taken(name: str) -> str | None:
    """Which size a function that makes a table takes by that name."""
    patterns = {"base": BASE, "count": COUNT, "width": WIDTH}
    lowered = name.lower()
    return next(
        (s for s, p in patterns.items() if p.fullmatch(lowered)), None
    )


def tables_to_try(
    host, thing: Thing, library: str, count: int, d_head: int
) -> Iterator[Table]:
    """Tables for so many arguments, the file's own first."""
    for table in own_tables(host, thing, library):
        made = table.make(d_head)
        is_split = isinstance(made, list | tuple)
        fits = count == 1 or is_split
        if fits and cosines_and_sines(made, d_head) is not None:
            yield table
    yield from standard(count)


def turns_inside(thing: Thing) -> bool:
    """Whether its source has cosines and sines, or complex numbers, to
    turn by."""
    source = thing.source + thing.helpers
    both = re.search(r"\bcos\b", source) and re.search(r"\bsin\b", source)
    return bool(both) or re.search(COMPLEX, source) is not None


def tables_inside(thing: Thing) -> Iterator[Table]:
    """The tables by which it may turn of its own: of each base that its
    source has, and of the usual ones."""
    written = re.findall(NUMBER, thing.source + thing.helpers)
    bases = [float(n.replace("_", "")) for n in written]
    for base in dict.fromkeys((THETA, *bases, *OTHER_BASES)):
        if base >= LEAST_BASE:
            yield Table(
                f"its own, of base {base:g}",
                lambda d, base=base: np.exp(1j * angles(d, base)),
                is_inside=True,
            )


def may_do_without(source: str) -> bool:
    """Whether a condition speaks of positions: a switch may say that none
    are turned."""
    spoken = r"\bif\b[^\n]*(rope|rotary|rotat|freqs|cos|pos_|position)"
    return re.search(spoken, source, re.I) is not None


def takes_the_whole(name: str, source: str) -> bool:
    """Whether the rows of a table are chosen inside, by a position."""
    sliced = rf"\b{re.escape(name)}\[\s*(\w+)\s*:\s*\w"
    return re.search(sliced, source) is not None
