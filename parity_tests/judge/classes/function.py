"""A function of tokens and weights, as a body that gets them each call.

Weights are arguments one by one, or members of one argument: a dict, a
tree of dicts, or a record. A layer is an array, or a dict with a matrix
and a bias. Names in the source say which; which parts a layer has is found
by trial.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.candidate.wire import Record
from parity_tests.judge.subject.roles import has_role
from parity_tests.judge.subject.weights import LAST, key_of, role_of
from parity_tests.judge.verdict.protocol import answered

from .body import call_roles
from .building import FIRST, Sizes, size_named, values_for_a_call

ARRAY = ()  # a layer without parts
PARTS = (
    *(("w", "b"), ("W", "b"), ("weight", "bias"), ("kernel", "bias")),
    *(("w",), ("W",), ("weight",), ("kernel",)),
)
KEY = r"\[[\"'](\w+)[\"']\]"
COLUMNS = {"joined": 3, "kv": 2}  # of as many outputs


@dataclass(frozen=True)
class WeightNames:
    """The names of the weights that a function takes.

    They are arguments; or all in the argument `holder`, with dots where
    it is a tree. A holder with a `record` is one of that class. Beside
    weights it may hold `numbers`, such as that of the heads: which size
    each name is.
    """

    names: tuple[str, ...]
    holder: str = ""
    record: str = ""
    numbers: tuple[tuple[str, str], ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        return (self.holder,) if self.holder else self.names


def weights_of(thing: Thing) -> WeightNames:
    """The weights among the parameters of a function."""
    for each in thing.parameters:
        for branch, path in branches_of(each.name, thing.source):
            names = keys_of(branch, thing.source)
            if are_weights(names):
                entry = f'{branch}["{{}}"]'
                numbers = numbers_among(names, entry, thing.source)
                return WeightNames(
                    tuple(f"{path}{n}" for n in names if n not in numbers),
                    each.name,
                    numbers=tuple(
                        (f"{path}{n}", s) for n, s in numbers.items()
                    ),
                )
        names = attributes_of(each.name, thing.source)
        if are_weights(names):
            record = each.annotation.rpartition(".")[-1] or "Parameters"
            numbers = numbers_among(
                names, f"{each.name}.{{}}", thing.source
            )
            names = tuple(n for n in names if role_of(key_of(n)))
            return WeightNames(
                names, each.name, record, tuple(numbers.items())
            )
    return WeightNames(weight_arguments(thing))


def numbers_among(names, entry: str, source: str) -> dict[str, str]:
    """Which of these entries are numbers, and which size each is: by its
    name, or else, where arrays are reshaped by it, the number of heads."""
    numbers = {}
    for name in names:
        last = name.split(".")[-1]
        if role_of(key_of(name)):
            continue
        if size := size_named(last):
            numbers[name] = size
        elif is_counted(entry.format(name), source.replace("'", '"')):
            numbers[name] = "heads"
    return numbers


def is_counted(entry: str, source: str) -> bool:
    """Whether an entry, or what it is assigned to, says how many."""
    assigned = re.findall(
        rf"(\w+)\s*=\s*{re.escape(entry)}\s*$", source, re.M
    )
    used = "|".join([re.escape(entry), *(rf"\b{n}\b" for n in assigned)])
    counts = rf"//\s*({used})|range\(\s*({used})|"
    counts += rf"(reshape|view|split)\([^()]*({used})"
    return re.search(counts, source) is not None


def are_weights(names) -> bool:
    """Whether they are all that attention needs."""
    roles = {role_of(key_of(name)) for name in names}
    whole = {"query", "key", "value"}, {"query", "kv"}, {"joined"}
    return any(needed <= roles for needed in whole)


def takes_weights(thing: Thing) -> bool:
    """Whether a function projects tokens by matrices that it takes."""
    return not thing.is_class and are_weights(weights_of(thing).names)


def branches_of(name: str, source: str) -> Iterator[tuple[str, str]]:
    """The branches of a tree that have names of their own, each with its
    path: `p = params["attention"]`; and the tree itself."""
    own = re.escape(name)
    named = rf"^\s*(\w+)\s*=\s*{own}((?:{KEY})+)\s*$"
    for branch, chain, *_ in re.findall(named, source, re.MULTILINE):
        yield branch, "".join(f"{key}." for key in re.findall(KEY, chain))
    yield name, ""


def keys_of(name: str, source: str) -> tuple[str, ...]:
    """The keys of a dict, as far as the source names them: a path with
    dots for a dict of dicts; any word in quotes where the key is one of
    several."""
    chains = re.findall(rf"\b{re.escape(name)}((?:{KEY})+)", source)
    keys = [".".join(re.findall(KEY, chain)) for chain, *_ in chains]
    if not are_weights(keys) and re.search(rf"\b{name}\[\w", source):
        words = re.findall(r"[\"'](\w+)[\"']", source)
        letters = re.findall(r" in [\"'](\w+)[\"']", source)
        words += [letter for text in letters for letter in text]
        keys = [word for word in words if key_of(word)]
        keys = [key for key in keys if role_of(key_of(key))]
    return tuple(dict.fromkeys(keys))


def attributes_of(name: str, source: str) -> tuple[str, ...]:
    """The attributes of a record, as the source names them."""
    names = re.findall(rf"\b{re.escape(name)}\.(\w+)", source)
    return tuple(dict.fromkeys(names))


def weight_arguments(thing: Thing) -> tuple[str, ...]:
    """The weights among the parameters, by their names.

    An argument called just query, key or value is taken for tokens.
    """
    named = [p.name for p in thing.parameters if p.is_named and p.required]
    return tuple(
        name
        for name in named
        if not any(has_role(name, r) for r in ("query", "key", "value"))
        and name.lower() not in ("b", "bias")
        and (weight_role(name) or is_opened(name, thing.source))
    )


def weight_role(name: str) -> str | None:
    """The role of a weight, of which the name must say that it is one."""
    lowered = name.lower()
    if not re.match(r"(w|b|weights?|bias)(_?[a-z]|$)", lowered) and not (
        re.search(r"(proj|weights?|_w|qkv)$", lowered)
    ):
        return None
    return role_of(key_of(name))


def is_opened(name: str, source: str) -> bool:
    """Whether an argument is a layer with parts, named like a weight."""
    opened = re.search(rf"\*\*{name}\b|\b{name}{KEY}", source)
    return bool(opened and role_of(key_of(name)))


def parts_to_try(thing: Thing) -> Iterator[tuple[str, ...]]:
    """What a layer may be made of, as far as any name says so."""
    yield ARRAY
    words = set(re.findall(r"\w+", thing.source + thing.helpers))
    yield from (parts for parts in PARTS if words.issuperset(parts))


def heads_may_be_apart(thing: Thing) -> bool:
    """Whether an einsum has an operand of three axes: x with "dhe"."""
    operand = r",\s*(\w\s*){3}->"
    return re.search(operand, thing.source + thing.helpers) is not None


def orientations(thing: Thing) -> tuple[bool, ...]:
    """Whether matrices are (out, in), the likelier first: they are for
    F.linear, or are transposed under their own names."""
    names = (name.split(".")[-1] for name in weights_of(thing).names)
    own = "|".join(map(re.escape, names))
    transposed = rf"\b({own})\b[\"'\]]*\.(mT|T|t\(\))"
    turned = rf"\b(F|functional)\.linear\(|{transposed}"
    is_turned = re.search(turned, thing.source + thing.helpers)
    return (True, False) if is_turned else (False, True)


def holds_heads(thing: Thing) -> bool:
    """Whether the number of heads stands among its weights."""
    return "heads" in dict(weights_of(thing).numbers).values()


def norm_taken(thing: Thing) -> tuple[str, ...]:
    """The gain and the bias of a layer norm among the parameters."""
    names = [p.name for p in thing.parameters if p.is_named and p.required]
    gains = [n for n in names if n.lower() in ("g", "gamma", "gain")]
    shifts = [n for n in names if n.lower() in ("b", "beta", "shift")]
    return (*gains, *shifts) if gains and shifts else ()


class FunctionBody:
    """A function of tokens and weights, which it takes as arguments.

    With `square`, its tokens are as wide as what it makes of them;
    `parts` are those of a layer, or ARRAY. With `by_head`, the features of
    heads have two axes, (heads, d_head). Matrices are (in, out), or if
    they are `turned`, (out, in).
    """

    has_sizes = True

    def __init__(
        self,
        host,
        thing: Thing,
        library: str,
        square: bool = False,
        parts: tuple[str, ...] = ARRAY,
        by_head: bool = False,
        turned: bool = False,
    ):
        self.host, self.thing, self.library = host, thing, library
        self.square, self.parts, self.by_head = square, parts, by_head
        self.turned = turned
        self.has_heads = by_head or holds_heads(thing)
        self.weights, self.norm = weights_of(thing), norm_taken(thing)
        skipped = (*self.weights.arguments, *self.norm)
        said = f"{thing.docs}\n{thing.source}"
        self.roles = call_roles(thing.parameters, skipped, said)

    def parameters(self, sizes: Sizes, biased=True) -> list:
        """Their shapes, as the roles of weights have them."""
        d_in = sizes.d_out if self.square else sizes.d_in
        shapes = []
        for name in self.weights.names:
            role = role_of(key_of(name)) or "output"
            width = COLUMNS.get(role, 1) * sizes.d_out
            rows = sizes.d_out if role == "output" else d_in
            if self.parts and not is_array(name):
                matrix, *biases = (f"{name}.{part}" for part in self.parts)
            else:
                is_bias = name.split(".")[-1].lower().startswith("b")
                matrix, biases = (None, [name]) if is_bias else (name, [])
            if matrix:
                shape = (width, rows) if self.turned else (rows, width)
                shapes.append((matrix, shape, "argument"))
            shapes += [(bias, (width,), "argument") for bias in biases]
        norms = [(name, (d_in,), "LayerNorm") for name in self.norm]
        return shapes + norms

    def has_no_such_head(self, sizes: Sizes) -> bool:
        return False

    def renew(self, sizes: Sizes, dtype: str) -> None:
        """A function keeps nothing."""

    def buffers(self, sizes: Sizes) -> list[str]:
        return []

    def beginnings(self, sizes: Sizes) -> dict[str, np.ndarray]:
        return {}

    def run(self, sizes, arrays, arguments, dtype, **how) -> dict:
        """Call with these weights. Raises Raised."""
        if self.by_head:
            arrays = {
                name: split(name, array, sizes.heads)
                for name, array in arrays.items()
            }
        values = values_for_a_call(sizes)
        numbers = {
            name: values[size] for name, size in self.weights.numbers
        }
        named = arguments | self.placed(arrays, numbers)
        how = {"library": self.library} | how
        return answered(self.host.call(self.thing.name, named, how))

    def placed(self, arrays: dict, numbers: dict) -> dict:
        """The weights, and the numbers among them, as arguments."""
        norms = {name: arrays[name] for name in self.norm}
        rest = {n: a for n, a in arrays.items() if n not in norms} | numbers
        tree, weights = nested(rest), self.weights
        if weights.record:
            tree = Record(weights.record, False, **tree)
        return norms | ({weights.holder: tree} if weights.holder else tree)

    def choices(self) -> Iterator[Sizes]:
        yield from FIRST


def is_array(name: str) -> bool:
    """Whether a path ends at an array, not at a layer with parts."""
    return "." in name and name.split(".")[-1] in LAST


def split(name: str, array: np.ndarray, heads: int) -> np.ndarray:
    """Weights with an axis for heads: (d_in, heads, d_head), and for the
    output (heads, d_head, d_out); biases of heads likewise."""
    if role_of(key_of(name)) != "output":
        return array.reshape(*array.shape[:-1], heads, -1)
    if array.ndim == 1:
        return array
    return array.reshape(heads, -1, array.shape[1])


def nested(arrays: dict) -> dict:
    """A tree of dicts, from names with dots."""
    tree: dict = {}
    for name, array in arrays.items():
        *path, last = name.split(".")
        branch = tree
        for key in path:
            branch = branch.setdefault(key, {})
        branch[last] = array
    return tree
