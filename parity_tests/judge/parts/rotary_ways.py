"""Ways to ask what turns tokens by their positions, the likeliest first.

`apply_rope(x, cos, sin)`, `apply_rotary_emb(xq, xk, freqs_cis)`,
`rope(x, positions)`, a class that is called with tokens, with both, or that
only gives cosines and sines: each turns pairs of tokens in the end.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, product

import numpy as np

from parity_tests.judge.attention.calling import as_array, paths_of
from parity_tests.judge.candidate.things import Parameter, Thing
from parity_tests.judge.candidate.wire import Record
from parity_tests.judge.classes.building import (
    Sizes,
    configuration,
    is_configured,
    size_named,
    values_of,
)
from parity_tests.judge.subject.forms import libraries_to_try
from parity_tests.judge.subject.rotary import (
    BASE,
    COUNT,
    LEAST_BASE,
    NUMBER,
    PAIRS,
    ROWS,
    THETA,
    WIDTH,
    Table,
    rotary_names,
    standard,
    tables_to_try,
)
from parity_tests.judge.verdict.protocol import (
    Broken,
    NotJudged,
    answered,
)

QUERY = re.compile(r"(x_?)?q(uer(y|ies))?(_\w+)?")
KEY = re.compile(r"(x_?)?k(eys?)?(_\w+)?")
PLACES = re.compile(
    r"(token_?|input_?|cache_?|seq_?)?pos(ition)?s?(_?(ids?|ind\w*))?|"
    r"positions?|timesteps?|m|pos"
)
OFFSET = re.compile(r"\w*offset\w*|start\w*|past\w*|\w*cache_?len\w*")
LENGTH = re.compile(
    r"(max_?)?seq(uence)?_?len(gth)?|length|n_?tokens|seqlen|n|t|max_?len|"
    r"context_?length|end"
)
LAYOUTS = {
    "(batch, heads, positions, features)": (
        lambda x: x,
        lambda y, x: y,
    ),
    "(batch, positions, heads, features)": (
        lambda x: x.swapaxes(1, 2),
        lambda y, x: y.swapaxes(1, 2),
    ),
    "(batch, positions, features)": (
        lambda x: x[:, 0],
        lambda y, x: y[:, None],
    ),
    "(positions, features)": (
        lambda x: x[0, 0],
        lambda y, x: y[None, None],
    ),
    "(positions, heads, features)": (
        lambda x: x[0].swapaxes(0, 1),
        lambda y, x: y.swapaxes(0, 1)[None],
    ),
}
SEVERAL = tuple(LAYOUTS)[:2]  # with a batch and heads
PLACES_AS = {
    "(positions)": lambda places: places,
    "(1, positions)": lambda places: places[None],
}
NUMBERS = count(1)  # of instances


@dataclass(frozen=True)
class Roles:
    """What the arguments of a call are for; tokens are none, one, or two:
    queries and keys."""

    tokens: tuple[str, ...]
    tables: tuple[str, ...] = ()
    places: str | None = None
    offset: str | None = None
    length: str | None = None
    sizes: dict[str, str] = field(default_factory=dict)


def roles_of(parameters: tuple[Parameter, ...]) -> Roles:
    """By their names. Raises NotJudged for one that is needed and
    unknown."""
    named = [each for each in parameters if each.is_named]
    tables = rotary_names(named)
    names = [p.name for p in named if p.name not in tables]
    needed = [p.name for p in named if p.required and p.name in names]

    def first(pattern, among) -> str | None:
        return next(
            (n for n in among if pattern.fullmatch(n.lower())), None
        )

    query, key = first(QUERY, needed), first(KEY, needed)
    tokens = (query, key) if query and key else ()
    rest = [n for n in names if n not in tokens]
    offset = first(OFFSET, rest)
    places = first(PLACES, [n for n in rest if n != offset])
    rest = [n for n in rest if n not in (offset, places)]
    if not tokens:
        likely = [n for n in rest if n in needed and not size_of(n)]
        tokens = tuple(likely[:1])
    rest = [n for n in rest if n not in tokens]
    length = first(LENGTH, rest)
    rest = [n for n in rest if n != length and n in needed]
    sizes = {n: size_of(n) for n in rest}
    for name, size in sizes.items():
        if size is None:
            raise NotJudged(
                f"its call takes {name}, of which the judge does not know "
                "what it is; a default for it would let it be judged"
            )
    return Roles(tokens, tables, places, offset, length, sizes)


def size_of(name: str) -> str | None:
    """Which size an argument is, by its name: none for what is tokens."""
    patterns = {"base": BASE, "count": COUNT, "width": WIDTH}
    lowered = name.lower()
    told = (s for s, p in patterns.items() if p.fullmatch(lowered))
    return None if lowered in ("x", "t") else next(told, None)


@dataclass(eq=False)
class RotaryWay:
    """One way to ask; `pairings` are those that it may have, None for
    all; `says` are conventions that it has if it is right so."""

    host: object
    thing: Thing
    library: str
    roles: Roles
    layout: str
    table: Table | None = None
    whole: bool = False  # whether a table is passed with all its rows
    places_as: str = "(positions)"
    pairings: tuple[str, ...] | None = None
    instances: dict = field(default_factory=dict)
    says: dict = field(default_factory=dict)

    @property
    def has_heads(self) -> bool:
        return self.layout in SEVERAL

    @property
    def takes_tokens(self) -> bool:
        return bool(self.roles.tokens)

    @property
    def makes_angles(self) -> bool:
        """Whether the angles are the file's own."""
        return self.table is None or self.table.name.startswith("by its")

    @property
    def knows_places(self) -> bool:
        """Whether tokens may stand anywhere, and need not follow one
        another from 0 on."""
        by_rows = self.table is not None and not self.whole
        return by_rows or self.roles.places is not None

    def turned(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """The tokens, turned as they stand there."""
        tokens = np.arange(len(positions))
        if self.knows_places or np.array_equal(positions, tokens):
            return self.answered(x, positions, 0)
        if self.roles.offset and np.array_equal(
            positions - positions[0], tokens
        ):
            return self.answered(x, positions, int(positions[0]))
        if len(set(positions.tolist())) < len(positions):
            each = [
                self.turned(x[..., at : at + 1, :], positions[at : at + 1])
                for at in tokens
            ]
            return np.concatenate(each, axis=-2)
        longer = (*x.shape[:-2], max(positions) + 1, x.shape[-1])
        among = np.zeros(longer, x.dtype)
        among[..., positions, :] = x
        every = np.arange(longer[-2])
        return self.answered(among, every, 0)[..., positions, :]

    def answered(self, x, positions, offset: int) -> np.ndarray:
        """Both, queries and keys: in one call, or one after the other."""
        if len(self.roles.tokens) == 2:
            value = self.reply(x, positions, offset)["value"]
            return np.stack(self.both(value, x))
        return np.stack(
            [
                self.one(
                    self.reply(part[None], positions, offset)["value"],
                    part,
                    positions,
                )
                for part in x
            ]
        )

    def reply(self, x, positions, offset: int, **how) -> dict:
        target, width = self.target(x.shape[-1], x.dtype), x.shape[-1]
        named = self.arguments(x, positions, offset, width)
        how = {"library": self.library} | how
        return answered(self.host.call(target, named, how))

    def arguments(self, x, positions, offset: int, width: int) -> dict:
        roles, lay = self.roles, LAYOUTS[self.layout][0]
        named = dict(zip(roles.tokens, map(lay, x), strict=False))
        if self.table is not None:
            rows = np.arange(ROWS) if self.whole else positions
            made = self.table.rows(width, rows, x.dtype)
            both = made if len(roles.tables) == 2 else [made]
            named |= dict(zip(roles.tables, both, strict=True))
        if roles.places:
            named[roles.places] = PLACES_AS[self.places_as](positions)
        if roles.offset:
            named[roles.offset] = offset
        tokens = int(max(positions)) + 1
        if roles.length:
            named[roles.length] = tokens
        sizes = {"width": width, "base": THETA, "count": tokens}
        return named | {n: sizes[size] for n, size in roles.sizes.items()}

    def target(self, width: int, dtype) -> str:
        """The function, or an instance for heads of this width."""
        if not self.thing.is_class:
            return self.thing.name
        key = width, dtype.name
        if key not in self.instances:
            name = f"{self.thing.name}#{next(NUMBERS)}"
            how = {"instance": name, "dtype": dtype.name}
            given = constructor(self.thing, width)
            answered(self.host.build(self.thing.name, given, how))
            self.instances[key] = name
        return self.instances[key]

    # --- what comes back -------------------------------------------------

    def both(self, value, x) -> list[np.ndarray]:
        shape = LAYOUTS[self.layout][0](x[0]).shape
        parts = [
            part
            for path, part in map_arrays(value)
            if path and part.shape == shape
        ]
        if len(parts) < 2:
            raise Broken("returned no queries and keys")
        back = LAYOUTS[self.layout][1]
        return [
            back(part, own) for part, own in zip(parts[:2], x, strict=True)
        ]

    def one(self, value, x, positions) -> np.ndarray:
        """The tokens turned, by it or by the table that it returns."""
        lay, back = LAYOUTS[self.layout]
        if self.takes_tokens and self.pairings is None:
            for _, part in map_arrays(value):
                if part.shape == lay(x).shape and part.dtype.kind == "f":
                    return back(part, x)
            raise Broken("returned no tokens")
        cos, sin, self.says = table_in(value, len(positions), x.shape[-1])
        first, second = PAIRS["halves"](x.shape[-1])
        a, b = x[..., first], x[..., second]
        both = a * cos - b * sin, a * sin + b * cos
        return np.concatenate(both, axis=-1).astype(x.dtype)

    def inputs_after(self, arguments: dict) -> tuple:
        """The tokens, before and after a call."""
        x, positions = arguments["x"], arguments["positions"]
        lay, name = LAYOUTS[self.layout][0], self.roles.tokens[0]
        tokens = np.arange(len(positions))
        places = positions if self.knows_places else tokens
        back = self.reply(x, places, 0, back=True)["back"][name]
        return lay(x[0]), np.asarray(back)


def map_arrays(value) -> Iterator[tuple[tuple, np.ndarray]]:
    for path, part in paths_of(value):
        array = as_array(part)
        if isinstance(array, np.ndarray):
            yield path, array


WIDTHS_SAID = {
    "halves": "a number for each feature, those of a pair d/2 apart",
    "neighbours": "a number for each feature, those of a pair side by side",
    "pairs": "a number for each pair",
}


def table_in(value, tokens: int, width: int) -> tuple:
    """Cosines and sines of (position, pair), as they were returned, and
    in which form. Raises Broken."""
    arrays = [p for _, p in every_array(value) if p.size]
    match arrays:
        case [array] if array.dtype.kind == "c":
            parts = array.real, array.imag
        case [array] if array.shape[-1:] == (2,) and width != 2:
            parts = array[..., 0], array[..., 1]
        case [array]:
            parts = np.cos(array), np.sin(array)
        case [cos, sin]:
            parts = cos, sin
        case _:
            raise Broken(f"returned {len(arrays)} arrays, expected a table")
    halves = [halved(part, tokens, width) for part in parts]
    (cos, form), (sin, _) = halves
    return cos, sin, {"its table": WIDTHS_SAID[form]}


def every_array(value) -> Iterator[tuple[tuple, np.ndarray]]:
    """The arrays of a result, complex ones as well."""
    for path, part in paths_of(value):
        if isinstance(part, np.ndarray):
            yield path, part


def halved(array: np.ndarray, tokens: int, width: int) -> tuple:
    """A number for each pair, and the form in which it came."""
    rows = array.astype(np.float64)
    if rows.size == tokens * width // 2:
        return rows.reshape(tokens, width // 2), "pairs"
    if rows.size != tokens * width:
        raise Broken(f"returned a table of shape {array.shape}")
    rows = rows.reshape(tokens, width)
    half, every_other = rows[:, : width // 2], rows[:, ::2]
    if np.array_equal(np.tile(half, 2), rows):
        return half, "halves"
    if np.array_equal(np.repeat(every_other, 2, axis=-1), rows):
        return every_other, "neighbours"
    raise Broken("returned a table in which pairs have no common angle")


# --- constructors --------------------------------------------------------


def constructor(thing: Thing, width: int) -> dict:
    """The arguments of a constructor, for heads of this width. Raises
    NotJudged for one that is needed and unknown."""
    arguments: dict = {}
    for each in thing.parameters:
        name = each.name.lower()
        if not each.is_named:
            continue
        if is_configured(thing, each):
            arguments[each.name] = configured(thing, each, width)
        elif not each.required:
            continue
        elif BASE.fullmatch(name):
            arguments[each.name] = THETA
        elif size_named(name) == "heads":
            arguments[each.name] = 1
        elif COUNT.fullmatch(name) and arguments:
            arguments[each.name] = ROWS
        elif WIDTH.fullmatch(name) or size_named(name) or not arguments:
            arguments[each.name] = width
        else:
            raise NotJudged(
                f"{thing.name} is built from {each.name}, of which the "
                "judge does not know what it is"
            )
    return arguments


def configured(thing: Thing, each: Parameter, width: int) -> Record:
    values = values_of(Sizes(width, width, 1, ROWS), width)
    record = configuration(thing, each.name, each.annotation, values)
    rotary = {
        name: THETA
        for name in re.findall(r"\w+", thing.source)
        if BASE.fullmatch(name.lower())
    }
    others = {"partial_rotary_factor": 1.0, "rope_scaling": None}
    members = record.members | others | rotary
    return Record(record.record_name, False, **members)


# --- all ways ------------------------------------------------------------


def bases_told(thing: Thing) -> list[float]:
    """The bases that it may have: the usual one, and what its source or
    its signature has that may be one."""
    written = re.findall(NUMBER, thing.source + thing.helpers)
    numbers = [float(each.replace("_", "")) for each in written]
    given = (*thing.parameters, *thing.call)
    numbers += [p.default for p in given if type(p.default) in (int, float)]
    every = dict.fromkeys((THETA, *numbers))
    return [each for each in every if each >= LEAST_BASE]


def rotary_ways(host, thing: Thing, library: str | None) -> Iterator:
    """Each way to ask, with a number: one that is higher is for where none
    of those before gives an output. Raises NotJudged where its arguments
    are unknown."""
    roles = roles_of(thing.signature)
    libraries = libraries_to_try(thing, library)
    for rank, chosen in enumerate(with_and_without(roles, thing)):
        for own_library in libraries:
            for way in ways_with(host, thing, own_library, chosen):
                yield rank, way


def with_and_without(roles: Roles, thing: Thing) -> Iterator[Roles]:
    """With what may say where tokens stand; then without what may be left
    out."""
    yield roles
    optional = {p.name for p in thing.signature if not p.required}
    kept = {
        name: value
        for name, value in vars(roles).items()
        if not (isinstance(value, str) and value in optional)
    }
    if len(kept) < len(vars(roles)):
        yield Roles(**kept)


def ways_with(host, thing, library, roles: Roles) -> Iterator[RotaryWay]:
    tables = [*tables_for(host, thing, library, roles)]
    forms = tuple(PLACES_AS) if roles.places else ("(positions)",)
    whole = bool(roles.tables and (roles.places or roles.offset))
    layouts = LAYOUTS if roles.tokens else tuple(LAYOUTS)[3:4]
    gives = (None, ("halves",)) if not roles.tables else (None,)
    gives = gives if roles.tokens else gives[1:]
    for pairings, table, form, layout in product(
        gives, tables, forms, layouts
    ):
        if pairings and len(roles.tokens) == 2:
            continue
        yield RotaryWay(
            host,
            thing,
            library,
            roles,
            layout,
            table,
            whole,
            form,
            pairings,
        )


def tables_for(host, thing, library, roles: Roles) -> Iterator:
    """The file's own table where it has one that is understood; else the
    usual one, in each form; None where it takes none."""
    if not roles.tables:
        yield None
        return
    found = tables_to_try(host, thing, library, len(roles.tables), 8)
    every = [*found]
    own = [table for table in every if table.name.startswith("by its")]
    yield from own or (*every, *along_heads(len(roles.tables)))


def along_heads(number: int) -> Iterator[Table]:
    """The usual forms, with an axis for heads behind the positions."""
    for table in standard(number):
        if "(tokens" not in table.name:
            continue

        def make(d, table=table):
            made = table.make(d)
            if isinstance(made, tuple):
                return tuple(part[:, None] for part in made)
            return made[:, None]

        yield Table(f"{table.name}, 1 for heads", make)
