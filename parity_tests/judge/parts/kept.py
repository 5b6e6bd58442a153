"""`CacheSubject`: a class that keeps keys and values, as a subject.

`update(k, v)` puts new ones in, for a layer or from a position on where it
takes one; what comes back, or what another method gives, is all that was
put in, in order. After a reset nothing of it is left.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count, product

import numpy as np
from hypothesis import strategies as st

from parity_tests.judge.attention.calling import as_array, paths_of
from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.classes.building import (
    Sizes,
    configuration,
    is_configured,
    size_named,
    values_of,
)
from parity_tests.judge.steps.property import Comparisons
from parity_tests.judge.subject.forms import libraries_to_try
from parity_tests.judge.verdict.property import Property, identical
from parity_tests.judge.verdict.protocol import (
    FAILED_TRIAL,
    Broken,
    NotJudged,
    answered,
    attempt,
)

NAME = "key_value_cache"
PUTS = r"update\w*|append\w*|add\w*|put|insert|extend|store|write|push"
GIVES = r"get\w*|read|fetch|keys_and_values|kv|view|values?|load"
RESETS = r"reset\w*|clear\w*|free|flush|empty"
KEYS = re.compile(r"(new_?|x_?)?k(_?(new|val|value|cache|in|t))?|keys?\w*")
VALUES = re.compile(r"(new_?|x_?)?v(_?(new|val|value|in|t))?|val(ue)?s?\w*")
LAYER = re.compile(r"layer(_?(idx|id|index|number|i))?|idx|i")
PLACES = re.compile(
    r"(input|cache)_?pos(itions?)?|pos(ition)?_?ids|positions"
)
BEGIN = re.compile(r"\w*start\w*|\w*offset\w*|pos|begin|cur\w*|past\w*")
LAYERS = re.compile(r"(num|n)_?(hidden_?)?layers?")
ROOM, BATCH, HEADS, WIDTH = 17, 2, 3, 4
# Where the axis of tokens is in (batch, heads, tokens, features).
LAYOUTS: dict[str, tuple[Callable, Callable]] = {
    "(batch, heads, tokens, features)": (lambda a: a, lambda a: a),
    "(batch, tokens, heads, features)": (
        lambda a: a.swapaxes(1, 2),
        lambda a: a.swapaxes(1, 2),
    ),
    "(batch, tokens, features)": (
        lambda a: a[:, 0],
        lambda a: a[:, None],
    ),
    "(heads, tokens, features)": (lambda a: a[0], lambda a: a[None]),
    "(tokens, features)": (lambda a: a[0, 0], lambda a: a[None, None]),
}
NUMBERS = count(1)  # of instances

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class CacheCase:
    """Texts that are put in part by part, each followed by a reset but
    the last; or by turns into two layers."""

    texts: tuple[tuple[int, ...], ...]
    layers: int = 1
    seed: int = 0
    dtype: str = "float32"

    def size(self) -> tuple[int, float]:
        return sum(map(sum, self.texts)), float(self.layers)

    def __str__(self) -> str:
        texts = " and, after a reset, ".join(
            " + ".join(map(str, parts)) for parts in self.texts
        )
        beside = " in each of two layers" if self.layers > 1 else ""
        return f"tokens put in: {texts}{beside}"

    def events(self) -> Iterator[tuple]:
        """What is done: ("reset",), or ("put", layer, first, keys,
        values)."""
        random = np.random.default_rng(self.seed)
        for index, parts in enumerate(self.texts):
            if index:
                yield ("reset",)
            first = 0
            for tokens in parts:
                for layer in range(self.layers):
                    shape = (2, BATCH, HEADS, tokens, WIDTH)
                    numbers = random.normal(size=shape).astype(self.dtype)
                    yield ("put", layer, first, *numbers)
                first += tokens


# --- what comes out, of a right cache and of wrong ones ------------------


def behind(old: np.ndarray, new: np.ndarray, first: int) -> np.ndarray:
    return np.concatenate([old, new], axis=-2)


def written_at_0(old, new, first):
    kept = old.copy()
    tokens = min(new.shape[-2], kept.shape[-2])
    longer = behind(kept, new * 0, first)
    longer[..., : new.shape[-2], :] = new
    return longer if tokens else new


def simulated(
    case: CacheCase,
    join: Callable = behind,
    resets: tuple[int, ...] = (0, 1),
    apart: bool = True,
    gives: Callable = lambda keys, values: (keys, values),
) -> list[Pair]:
    """Keys and values after each time that some were put in."""
    kept: dict[int, Pair] = {}
    outputs = []
    for what, *event in case.events():
        if what == "reset":  # of keys, of values, or of both
            kept = {n: reset(pair, resets) for n, pair in kept.items()}
            continue
        layer, first, *new = event
        layer = layer if apart else 0
        old = kept.get(layer, tuple(part[..., :0, :] for part in new))
        pairs = zip(old, new, strict=True)
        kept[layer] = tuple(join(a, b, first) for a, b in pairs)
        outputs.append(gives(*kept[layer]))
    return outputs


def reset(pair: Pair, parts: tuple[int, ...]) -> Pair:
    """Without those of its parts."""
    return tuple(
        part[..., :0, :] if index in parts else part
        for index, part in enumerate(pair)
    )


MUTANTS: dict[str, Callable] = {
    "new keys and values go before those that were there": partial(
        simulated, join=lambda old, new, _: behind(new, old, 0)
    ),
    "only the newest are kept": partial(
        simulated, join=lambda old, new, _: new
    ),
    "only the first are kept": partial(
        simulated,
        join=lambda old, new, _: old if old.shape[-2] else new,
    ),
    "each call writes from position 0 on": partial(
        simulated, join=written_at_0
    ),
    "what is put in comes one call late": partial(
        simulated, join=lambda old, new, _: behind(old, new * 0, 0)
    ),
    "keys and values are exchanged": partial(
        simulated, gives=lambda keys, values: (values, keys)
    ),
    "the keys are given as values, too": partial(
        simulated, gives=lambda keys, values: (keys, keys)
    ),
    "the values are given as keys, too": partial(
        simulated, gives=lambda keys, values: (values, values)
    ),
    "a reset leaves what was there": partial(simulated, resets=()),
    "a reset leaves the values": partial(simulated, resets=(0,)),
    "a reset leaves the keys": partial(simulated, resets=(1,)),
    "all layers share what is kept": partial(simulated, apart=False),
    "tokens are joined along the batch": partial(
        simulated,
        join=lambda old, new, _: (
            np.concatenate([old, new], axis=0) if old.size else new
        ),
    ),
    "tokens are joined along the heads": partial(
        simulated,
        join=lambda old, new, _: (
            np.concatenate([old, new], axis=1) if old.size else new
        ),
    ),
}


# --- how it is asked -----------------------------------------------------


@dataclass(frozen=True)
class CacheRoles:
    """The methods of a cache, and what the arguments of each are for."""

    put: str
    arguments: dict[str, str]
    get: str = ""
    get_layer: str = ""
    reset: str = ""

    @property
    def has_layers(self) -> bool:
        return "layer" in self.arguments.values()


def takes_keys_and_values(thing: Thing) -> bool:
    """Whether a class has a method like `update(k, v)`."""
    try:
        roles_of(thing)
    except NotJudged:
        return False
    return True


def roles_of(thing: Thing) -> CacheRoles:
    """Raises NotJudged where no method takes keys and values."""
    methods = {name: rest for name, *rest in thing.methods}

    def called(pattern: str) -> list[str]:
        return [n for n in methods if re.fullmatch(pattern, n.lower())]

    for put in called(PUTS):
        required, optional = methods[put]
        arguments = arguments_of(required, optional)
        if arguments is None:
            continue
        gives = [n for n in called(GIVES) if takes_a_layer(methods[n][0])]
        get = next(iter(gives), "")
        layer = methods[get][0] if get else ()
        resets = [n for n in called(RESETS) if not methods[n][0]]
        return CacheRoles(
            put,
            arguments,
            get,
            next(iter(layer), ""),
            next(iter(resets), ""),
        )
    known = ", ".join(methods) or "none"
    raise NotJudged(
        f"expected a method like update(k, v), got methods: {known}"
    )


def takes_a_layer(required) -> bool:
    """Whether it needs nothing, or a layer alone."""
    return all(LAYER.fullmatch(name.lower()) for name in required[:1]) and (
        len(required) < 2
    )


PATTERNS = {
    "keys": KEYS,
    "values": VALUES,
    "layer": LAYER,
    "places": PLACES,
    "begin": BEGIN,
}


def arguments_of(required, optional) -> dict[str, str] | None:
    """What each is for; None where it does not take keys and values, or
    needs what is unknown."""
    roles: dict[str, str] = {}
    for name in (*required, *optional):
        left = (each for each in PATTERNS if each not in roles.values())
        told = (r for r in left if PATTERNS[r].fullmatch(name.lower()))
        role = next(told, None)
        if role is not None:
            roles[name] = role
        elif name in required:
            return None
    return roles if {"keys", "values"} <= set(roles.values()) else None


@dataclass(eq=False)
class CacheWay:
    host: object
    thing: Thing
    library: str
    roles: CacheRoles
    layout: str
    instances: dict = field(default_factory=dict)

    def outputs(self, case: CacheCase) -> list[Pair]:
        """Keys and values after each time that some were put in."""
        instance, outputs = self.instance(case.dtype), []
        for what, *event in case.events():
            if what == "reset":
                self.call(instance, self.roles.reset, {})
            else:
                outputs.append(self.after(instance, *event))
        self.host.forget(instance)
        return outputs

    def instance(self, dtype: str) -> str:
        name = f"{self.thing.name}#{next(NUMBERS)}"
        how = {"instance": name, "dtype": dtype}
        given = constructor(self.thing)
        answered(self.host.build(self.thing.name, given, how))
        return name

    def after(self, instance, layer: int, first: int, keys, values) -> Pair:
        there, back = LAYOUTS[self.layout]
        end = first + keys.shape[-2]
        given = {
            "keys": there(keys).copy(),
            "values": there(values).copy(),
            "layer": layer,
            "places": np.arange(first, end),
            "begin": first,
        }
        named = {n: given[role] for n, role in self.roles.arguments.items()}
        value = self.call(instance, self.roles.put, named)
        if value is None and self.roles.get:
            own = self.roles.get_layer
            named = {own: layer} if own else {}
            value = self.call(instance, self.roles.get, named)
        arrays = [
            array
            for path, part in paths_of(value)
            if path and isinstance(array := as_array(part), np.ndarray)
        ]
        if len(arrays) != 2:
            raise Broken(f"returned {len(arrays)} arrays, expected 2")
        return tuple(cut(back(array), end) for array in arrays)

    def call(self, instance: str, method: str, named: dict):
        how = {"library": self.library, "method": method}
        return answered(self.host.call(instance, named, how))["value"]


def cut(array: np.ndarray, tokens: int) -> np.ndarray:
    """Without the room that nothing was put into yet."""
    room = array[..., tokens:, :]
    return array[..., :tokens, :] if not room.any() else array


def constructor(thing: Thing) -> dict:
    """Room for the texts that are put in. Raises NotJudged for an
    argument that is needed and unknown."""
    sizes = {
        "texts": BATCH,
        "context": ROOM,
        "heads": HEADS,
        "kv_heads": HEADS,
        "d_head": WIDTH,
        "d_value": WIDTH,
        "d_out": HEADS * WIDTH,
        "d_in": HEADS * WIDTH,
    }
    arguments = {}
    for each in thing.parameters:
        name = each.name.lower()
        size = size_named(name)
        if is_configured(thing, each):
            of_all = Sizes(HEADS * WIDTH, HEADS * WIDTH, HEADS, ROOM)
            values = values_of(of_all, WIDTH) | {"kv_heads": HEADS}
            arguments[each.name] = configuration(
                thing, each.name, each.annotation, values
            )
        elif not each.required:
            continue
        elif LAYERS.fullmatch(name):
            arguments[each.name] = 2
        elif size in sizes:
            arguments[each.name] = sizes[size]
        else:
            raise NotJudged(
                f"{thing.name} is built from {each.name}, of which the "
                "judge does not know what it is"
            )
    return arguments


def cache_ways(host, thing: Thing, library) -> Iterator[CacheWay]:
    roles = roles_of(thing)
    libraries = libraries_to_try(thing, library)
    for own_library, layout in product(libraries, LAYOUTS):
        yield CacheWay(host, thing, own_library, roles, layout)


# --- the subject ---------------------------------------------------------


def of_layout(pair: Pair, layout: str) -> Pair:
    """What of keys and values there is in this layout."""
    there, back = LAYOUTS[layout]
    return tuple(back(there(part)) for part in pair)


@st.composite
def cache_cases(draw, dtypes, resets: bool, layers: bool) -> CacheCase:
    parts = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
    texts = draw(st.lists(parts, min_size=1, max_size=2 if resets else 1))
    return CacheCase(
        tuple(texts),
        draw(st.integers(1, 2)) if layers else 1,
        draw(st.integers(0, 99)),
        draw(st.sampled_from(dtypes)),
    )


def what_was_put_in_comes_out(subject, case: CacheCase) -> Comparisons:
    """All keys and values that were put in come out, in order, and nothing
    else: nothing of other layers, or of texts before a reset."""
    both = zip(subject.answer(case), subject.right(case), strict=True)
    for call, pairs in enumerate(both):
        for what, *sides in zip(("keys", "values"), *pairs, strict=True):
            shape, wanted = (side.shape for side in sides)
            if shape != wanted:
                raise Broken(
                    f"returned {what} of {shape}, expected {wanted}"
                )
            yield identical(f"{what} after call {call}", *sides)


def precision_is_kept(subject, case: CacheCase) -> Comparisons:
    """What comes out is of the type that was put in."""
    for pair in subject.answer(case):
        for part in pair:
            if part.dtype.name != case.dtype:
                raise Broken(
                    f"returned {part.dtype}, expected {case.dtype}"
                )
            yield identical("types", np.zeros(1), np.zeros(1))


# Parts of different sizes; then equal ones, which join along any axis.
TRIALS = CacheCase(((3, 1, 2),)), CacheCase(((1, 1, 1),))


class CacheSubject:
    """A class that keeps keys and values. Raises NotJudged where none of
    its ways gives any."""

    kind, when_random = NAME, "the output is random"
    mask_is_declared = True
    host = None  # no script is made of its calls

    def __init__(self, thing: Thing, ways, is_meant: bool):
        self.name, self.is_meant = thing.name, is_meant
        self.way = self.best(list(ways))
        self.roles = self.way.roles
        self.dtypes = self.types()

    def best(self, ways: list[CacheWay]) -> CacheWay:
        """The first that is right; else the first that is a known mutant,
        or gives anything."""
        trouble, accepted = None, []
        for case, way in product(TRIALS, ways):
            try:
                outputs = way.outputs(case)
            except FAILED_TRIAL as error:
                trouble = trouble or error
                continue
            right = self.laid(simulated(case), way)
            if self.agree(outputs, right, case):
                return way
            accepted.append((case, way, outputs))
        for case, way, outputs in accepted:
            for mutant in MUTANTS.values():
                wrong = attempt(mutant, case)
                wrong = wrong and self.laid(wrong, way)
                if wrong and self.agree(outputs, wrong, case):
                    return way
        if not accepted:
            raise NotJudged(f"it {trouble}" if trouble else "it gave none")
        return accepted[0][1]

    @staticmethod
    def laid(pairs: list[Pair], way: CacheWay) -> list[Pair]:
        return [of_layout(pair, way.layout) for pair in pairs]

    def types(self) -> tuple[str, ...]:
        """float64 as well, where it makes no room in a type of its own."""
        got = attempt(self.way.outputs, CacheCase(((2,),), dtype="float64"))
        kept = got and all(a.dtype == np.float64 for a in got[0])
        has_room = bool(self.way.thing.parameters)
        return (
            ("float32",)
            if has_room and not kept
            else (
                "float32",
                "float64",
            )
        )

    def conventions(self) -> dict[str, str]:
        return {"its layout": self.way.layout}

    # --- as a subject ----------------------------------------------------

    def properties(self) -> tuple[Property, ...]:
        return (
            Property(what_was_put_in_comes_out),
            Property(precision_is_kept),
        )

    def cases(self):
        return cache_cases(
            self.dtypes, bool(self.roles.reset), self.roles.has_layers
        )

    def not_asked(self) -> dict[str, str]:
        missing = {}
        if not self.roles.reset:
            missing["a second text"] = "it has no method that resets it"
        if not self.roles.has_layers:
            missing["several layers"] = "it keeps those of one"
        return missing

    def probes(self) -> list[list]:
        dtype = self.dtypes[-1]
        texts = ((3, 1, 2),), ((1, 1, 1),)
        resets = (((2, 1), (1, 3)),) if self.roles.reset else ()
        layers = (1, 2) if self.roles.has_layers else (1,)
        return [
            [
                CacheCase(text, layer, seed, dtype)
                for seed, (text, layer) in enumerate(
                    product((*texts, *resets), layers)
                )
            ]
        ]

    def answer(self, probe: CacheCase) -> list[Pair]:
        return self.way.outputs(probe)

    def right(self, probe: CacheCase) -> list[Pair]:
        return self.laid(simulated(probe), self.way)

    def changes(self, probe) -> bool:
        return False

    def mutants(self, probes) -> Iterator[tuple[str, Callable]]:
        for cause, mutant in MUTANTS.items():
            yield (
                cause,
                lambda case, mutant=mutant: self.laid(
                    mutant(case), self.way
                ),
            )

    def agree(self, output, expected, probe) -> bool:
        return len(output) == len(expected) and all(
            np.array_equal(*sides)
            for pair in zip(output, expected, strict=True)
            for sides in zip(*pair, strict=True)
        )

    def other_cause(self) -> None:
        return None
