"""Calling an attention function as it wants to be called.

A `Calling` says what is passed under which name, in which layout, and
which part of the result is the output. It is found by trial, from the
likeliest on: a call that raises is no finding, but a hint.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.candidate.wire import Other
from parity_tests.judge.subject.cases import Range, normal_arrays
from parity_tests.judge.subject.forms import (
    MaskForm,
    is_held,
    libraries_to_try,
    open_forms,
    passed_masks,
)
from parity_tests.judge.subject.roles import (
    Roles,
    global_widths,
    roles_of,
    stated_rank,
)
from parity_tests.judge.subject.variants import heads_in
from parity_tests.judge.verdict.protocol import (
    Broken,
    NotAsked,
    NotJudged,
    Raised,
    answered,
)

QUERIES, KEYS, D_HEAD, D_VALUE = 5, 7, 4, 6  # and batches of 2 and 3
BATCHES = {0: (), 1: (2,), 2: (2, 3)}
TOKENS_LAST = "batch axes, tokens, features"
TOKENS_FIRST = "batch, tokens, heads, features"
HEADS_JOINED = "batch, tokens, features of all heads"
FEATURES_FIRST = "batch axes, features, tokens"
ONE_QUERY = "one query at a time, without an axis for queries"
# What stands for the width of a query, or a power of it.
FACTOR, DIVISOR = "1/√d_head", "√d_head"
POWERS = {"d_head": 1, FACTOR: -0.5, DIVISOR: 0.5}
# What is told of a variant for plain attention; a cap leaves it none.
AT_REST = {
    "window": 10_000,
    "cap": 30.0,
    "slopes": (0.0,),
    "sinks": (-1e30,),
}
# What changes nearly any output.
TELLING = {
    "window": 2,
    "cap": 0.5,
    "slopes": (0.5, 0.25),
    "sinks": (1.0, 2.0),
}
# Wider floats first, then those of 16 bits.
IN_ORDER = ("", "bfloat16", "float16")
# For a required argument of unknown meaning, from the likeliest on.
VALUES_TO_TRY = (None, "d_head", False, 0.0, 1)


@dataclass(frozen=True)
class Calling:
    """How a function is called: by which names, and in which layout.

    `fixed` are other arguments and their values, of which POWERS has some
    that go by the width of a query; `given` is what it is told of a
    variant, by kinds. `result` is the path to the output.
    `narrow` is a type of 16 bits, where it takes nothing else.
    """

    roles: Roles
    library: str = "numpy"
    narrow: str = ""
    layout: str = TOKENS_LAST
    result: tuple = ()
    fixed: dict[str, object] = field(default_factory=dict)
    forms: dict[str, MaskForm] = field(default_factory=dict)
    given: dict[str, object] = field(default_factory=dict)

    def arranged(self, array: np.ndarray) -> np.ndarray:
        """An array of ours in the function's layout."""
        if self.layout in (TOKENS_LAST, ONE_QUERY):
            return array
        if self.layout == FEATURES_FIRST:
            return array.swapaxes(-2, -1)
        moved = array.swapaxes(1, 2)
        if self.layout == TOKENS_FIRST:
            return moved
        return moved.reshape(*moved.shape[:2], -1)

    def arranged_back(self, array: np.ndarray, heads: int) -> np.ndarray:
        """An array of the function's in our layout."""
        if not isinstance(array, np.ndarray) or self.layout == TOKENS_LAST:
            return array
        if self.layout == ONE_QUERY:
            return array[..., None, :]
        if self.layout == FEATURES_FIRST:
            return array.swapaxes(-2, -1) if array.ndim > 1 else array
        if self.layout == HEADS_JOINED and array.ndim == 3:
            array = array.reshape(*array.shape[:2], heads, -1)
        return array.swapaxes(1, 2) if array.ndim == 4 else array


class Caller:
    """Calls a function of a host with arrays of ours."""

    def __init__(self, host, thing: Thing, calling: Calling):
        self.host, self.thing, self.calling = host, thing, calling

    def changed(self, **fields) -> "Caller":
        calling = replace(self.calling, **fields)
        return Caller(self.host, self.thing, calling)

    def arguments(
        self,
        query,
        key,
        value,
        masks=None,
        causal=False,
        scale=None,
        given=None,
    ) -> dict:
        """All arguments by name; `masks` are boolean, by their names, and
        what is `given` by its kinds."""
        calling, roles = self.calling, self.calling.roles
        shape = (*query.shape[:-1], key.shape[-2])
        arrays = zip(roles.tensors, (query, key, value), strict=True)
        named = {name: calling.arranged(array) for name, array in arrays}
        if calling.layout == ONE_QUERY:
            named[roles.tensors[0]] = query[..., 0, :].copy()
        named |= passed_masks(
            calling.forms,
            masks or {},
            roles.required_masks,
            shape,
            query.dtype,
        )
        if roles.causal is not None:
            named[roles.causal] = causal
        if roles.heads is not None:
            named[roles.heads] = heads_of(query)
        for name, constant in calling.fixed.items():
            power = POWERS.get(constant)
            width = query.shape[-1]
            named[name] = constant if power is None else width**power
        if scale is not None:
            named[roles.scale] = scale
        return named | told(roles, given or calling.given, query)

    def answer(self, arguments: dict, **how) -> dict:
        """What the host answers. Raises Raised."""
        calling = self.calling
        how = {"library": calling.library, "narrow": calling.narrow} | how
        if calling.layout != HEADS_JOINED:
            width = arguments[calling.roles.tensors[0]].shape[-1]
            names = global_widths(self.thing)
            how["globals"] = dict.fromkeys(names, width)
        return answered(self.host.call(self.thing.name, arguments, how))

    def whole(self, query, key, value, masks=None, **options):
        """Everything that is returned."""
        named = self.arguments(query, key, value, masks, **options)
        return self.answer(named)["value"]

    def __call__(self, query, key, value, masks=None, **options):
        """The output, in our layout, unchecked."""
        if self.calling.layout == ONE_QUERY and query.shape[-2] > 1:
            return self.one_by_one(query, key, value, masks, options)
        returned = self.whole(query, key, value, masks, **options)
        return self.output(returned, query)

    def output(self, returned, query):
        """The output in what was returned, in our layout, unchecked."""
        output = as_array(part_at(returned, self.calling.result))
        return self.calling.arranged_back(output, heads_of(query))

    def one_by_one(self, query, key, value, masks, options):
        """The outputs of queries that are asked alone."""
        shape = (*query.shape[:-1], key.shape[-2])
        rows = {
            name: np.broadcast_to(mask, shape)
            for name, mask in (masks or {}).items()
        }
        outputs = []
        for index in range(query.shape[-2]):
            at = np.s_[..., index : index + 1, :]
            own = {name: mask[at] for name, mask in rows.items()}
            outputs.append(self(query[at], key, value, own, **options))
        whole = all(isinstance(part, np.ndarray) for part in outputs)
        return np.concatenate(outputs, axis=-2) if whole else outputs[0]


def told(roles: Roles, given: dict, query: np.ndarray) -> dict:
    """What it is told of a variant: numbers, and arrays with a number for
    each head; at rest where nothing is given."""
    named = {}
    for each in roles.beside:
        if each.is_off and each.kind not in given:
            continue
        number = given.get(each.kind, AT_REST[each.kind])
        if isinstance(number, tuple):
            heads = heads_in(query.shape)
            number = np.resize(number, heads).astype(query.dtype)
        named[each.name] = (number, 0) if each.is_pair else number
    return named


def heads_of(array: np.ndarray) -> int:
    return array.shape[1] if array.ndim == 4 else 1


def part_at(value, path: tuple):
    """A part of a result, None where there is none."""
    for step in path:
        try:
            is_name = isinstance(step, str) and not isinstance(value, dict)
            value = getattr(value, step) if is_name else value[step]
        except (AttributeError, IndexError, KeyError, TypeError):
            return None
    return value


def as_array(value):
    """Nested lists of numbers as an array; anything else as it is, but
    for complex numbers, which are no output."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "c":
        return Other(f"an array of {value.dtype}")
    if not isinstance(value, list | tuple):
        return value
    try:
        array = np.array(value)
    except ValueError:
        return value
    return array if array.dtype.kind in "fiub" else value


def expect_array(output) -> np.ndarray:
    """The output itself. Raises Broken if it is no array."""
    if not isinstance(output, np.ndarray):
        kind = getattr(output, "kind", type(output).__name__)
        raise Broken(f"returned {kind}, expected an array")
    return output


def paths_of(value, path: tuple = ()) -> Iterator[tuple[tuple, object]]:
    """Each part of a result with its path; the whole first."""
    yield path, value
    parts = getattr(value, "members", {}).items()
    if isinstance(value, list | tuple):
        parts = enumerate(value[:8])
    elif isinstance(value, dict):
        parts = ((n, part) for n, part in value.items() if type(n) is str)
    for step, part in parts:
        yield from paths_of(part, (*path, step))


def result_path(value, shape: tuple[int, ...]) -> tuple | None:
    """Where an array of this shape is in a result; None if nowhere."""
    for path, part in paths_of(value):
        if getattr(as_array(part), "shape", None) == shape:
            return path
    return None


# --- inputs of trials ----------------------------------------------------


def tokens_within(limits: Range) -> tuple[int, int]:
    """How many queries and keys there are."""
    return KEYS if limits.square else QUERIES, KEYS


def arrays_within(limits: Range, axes: int | None = None, dtype=None):
    """Query, key and value within the limits, the same each time."""
    d_value = D_HEAD if limits.one_width else D_VALUE
    return normal_arrays(
        np.random.default_rng(0),
        BATCHES[limits.batch_axes[-1] if axes is None else axes],
        (*tokens_within(limits), D_HEAD, d_value),
        dtype or limits.dtypes[-1],
    )


def differs(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where two outputs are not the same, NaN or not."""
    return ~((before == after) | (np.isnan(before) & np.isnan(after)))


# --- finding a calling ---------------------------------------------------


def calling_of(
    host,
    thing: Thing,
    library: str | None = None,
    narrow: tuple[str, ...] = IN_ORDER,
) -> tuple[Caller, Range]:
    """A way to call the function, and which inputs it then takes; in the
    first of the types of 16 bits that it takes, "" for wider ones.

    Raises NotJudged with the first error, in words, where there is none.
    """
    roles = roles_of(thing.parameters)
    if roles is None:
        names = ", ".join(each.name for each in thing.parameters)
        raise NotJudged(
            f"expected a query, a key and a value, got ({names}); say what "
            "it is with --as"
        )
    troubles: dict[str, None] = {}
    for calling in callings(thing, roles, library, narrow):
        caller = Caller(host, thing, calling)
        fitting = limits_of(caller, troubles)
        if fitting is not None:
            return features_first(*fitting) or fitting
    tried = next(iter(troubles), "it gave no output of the right shape")
    raise NotJudged(
        f"it {tried}; what it takes may be said with --as, --array or "
        "--mask"
    )


def callings(
    thing: Thing,
    roles: Roles,
    library: str | None,
    every_narrow: tuple[str, ...] = IN_ORDER,
) -> Iterator[Calling]:
    """Ways to call it, from the likeliest on."""
    libraries = libraries_to_try(thing, library)
    layouts = (TOKENS_LAST, TOKENS_FIRST, ONE_QUERY)
    if roles.heads is not None:
        layouts = (HEADS_JOINED, *layouts)
    unknown = roles.unknown[:3]
    held = any(is_held(thing, name) for name in roles.required_masks)
    chosen = list(product(VALUES_TO_TRY, repeat=len(unknown)))
    for narrow, lib, layout, values in product(
        every_narrow, libraries, layouts, chosen
    ):
        if narrow == "bfloat16" and lib == "numpy" and "" in every_narrow:
            continue  # nobody writes one that takes nothing else
        fixed = dict(roles.fixed)
        fixed |= dict(zip(unknown, values, strict=True))
        calling = Calling(roles, lib, narrow, layout, fixed=fixed)
        for forms in open_forms(
            roles.required_masks, roles.lengths, 2, held
        ):
            yield replace(calling, forms=forms)


def features_first(
    caller: Caller, limits: Range
) -> tuple[Caller, Range] | None:
    """The way to call it with a column for each token, where it takes all
    sizes in that layout, and few in the usual one."""
    is_open = caller.calling.layout == TOKENS_LAST
    if not (is_open and limits.square and limits.one_width):
        return None
    turned = limits_of(caller.changed(layout=FEATURES_FIRST), {})
    if turned is None or turned[1].square or turned[1].one_width:
        return None
    return turned


def limits_of(
    caller: Caller, troubles: dict[str, None]
) -> tuple[Caller, Range] | None:
    """Which shapes and precisions it accepts; None if none.

    Errors go into `troubles`, in words. Float64 alone does not count:
    float32 is what is used.
    """
    calling = caller.calling
    every = calling.layout in (TOKENS_LAST, FEATURES_FIRST, ONE_QUERY)
    counts = (0, 1, 2) if every else (2,)
    precisions = (("float32", "float64"), ("float32",), ("float64",))
    for dtypes in (("float32",),) if calling.narrow else precisions:
        for square, one_width in product((False, True), repeat=2):
            limits = Range((0,), dtypes, square=square, one_width=one_width)
            paths = {
                n: accepted(caller, limits, n, troubles) for n in counts
            }
            axes = [n for n in counts if paths[n] is not None]
            stated = [n for n in axes if n + 2 in stated_ranks(caller)]
            axes = tuple(stated or axes)
            if axes:
                limits = replace(limits, batch_axes=axes)
                fitting = caller.changed(result=paths[axes[-1]])
                if mixes_tokens(fitting, limits):
                    return fitting, limits
                troubles.setdefault("mixed no tokens", None)
    return None


def stated_ranks(caller: Caller) -> set[int | None]:
    """How many axes query, key and value are said to have."""
    thing, tensors = caller.thing, caller.calling.roles.tensors
    return {
        stated_rank(each, thing.docs, thing.source)
        for each in thing.parameters
        if each.name in tensors
    }


def accepted(
    caller: Caller, limits: Range, axes: int, troubles: dict[str, None]
) -> tuple | None:
    """The path to its output for inputs of this kind; None if none."""
    for dtype in limits.dtypes:
        arrays = arrays_within(limits, axes, dtype)
        query, _, value = arrays
        shape = (*query.shape[:-1], value.shape[-1])
        expected = caller.calling.arranged(np.zeros(shape)).shape
        if caller.calling.layout == ONE_QUERY:
            expected = (*shape[:-2], shape[-1])
        try:
            returned = caller.whole(*arrays)
        except NotAsked:  # of masks of texts, where there is one only
            return None
        except (Raised, Broken) as error:
            troubles.setdefault(str(error), None)
            return None
        path = result_path(returned, expected)
        if path is None:
            got = shape_of(returned)
            troubles.setdefault(
                f"returned {got}, expected shape {expected}", None
            )
            return None
    return path


def shape_of(value) -> str:
    """What was returned, in a few words."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"shape {tuple(shape)}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)[:50]


def mixes_tokens(caller: Caller, limits: Range) -> bool:
    """Whether the value of the first token reaches another query.

    A function for another layout may take the same shapes, and then
    attends along another axis. Where nothing mixes at all, as when the
    softmax is missing or wrong, the usual layout is taken.
    """
    if limits.batch_axes[-1] < 2:
        return True
    query, key, value = arrays_within(limits)
    moved = value.copy()
    moved[:, 0, 0] += 1  # one token of one head
    try:
        before, after = (caller(query, key, v) for v in (value, moved))
    except Raised:
        return True
    by_head = differs(before, after).any(axis=(0, -1))
    along_tokens, along_heads = by_head[0, 1:].any(), by_head[1:].any()
    return bool(along_tokens or not along_heads)
