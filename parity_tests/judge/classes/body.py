"""A body: what runs, with weights that are given from outside.

An instance of a class has its weights assigned; a function of tokens and
weights gets them as arguments (`function.py`). Either way the weights are
drawn here, so that they are known whatever the body does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from parity_tests.judge.candidate.things import Parameter, Thing
from parity_tests.judge.subject.caches import CacheRoles, cache_roles
from parity_tests.judge.subject.roles import (
    first_of,
    has_role,
    is_dropout_mask,
    is_left_alone,
    keeps_weights,
    qkv_of,
)
from parity_tests.judge.subject.rotary import rotary_names
from parity_tests.judge.subject.weights import IGNORED, is_a_gradient
from parity_tests.judge.verdict.protocol import NotJudged, answered, attempt

from .building import (
    FIRST,
    REACH,
    SECOND,
    WINDOWS,
    Sizes,
    arguments_for,
    guesses_for,
    in_windows,
    is_configuration,
    optional_sizes,
    size_named,
    sizes_of_globals,
    takes,
    width_of_a_head,
)

TOKENS = 5


@dataclass(frozen=True)
class CallRoles:
    """What the parameters of a call are for.

    `tokens` maps names to "x", "query", "key", "value" or "context".
    """

    tokens: dict[str, str]
    masks: tuple[str, ...] = ()
    required_masks: tuple[str, ...] = ()
    lengths: str | None = None
    causal: str | None = None
    fixed: dict[str, object] = field(default_factory=dict)
    dropout_masks: tuple[str, ...] = ()
    left_alone: tuple[str, ...] = ()
    cache: CacheRoles = field(default_factory=CacheRoles)
    rotary: tuple[str, ...] = ()


def call_roles(
    parameters: tuple[Parameter, ...], skip=(), said: str = ""
) -> CallRoles:
    """Roles by name, and what is said beside. Raises NotJudged for what
    is unknown and needed."""
    named = {
        p.name: p for p in parameters if p.is_named and p.name not in skip
    }
    names = list(named)
    dropped = tuple(filter(is_dropout_mask, names))
    if "keep" in dropped and not keeps_weights(names, said):
        dropped = tuple(n for n in dropped if n != "keep")
    rotary = rotary_names(named.values())
    rest = [n for n in names if n not in (*dropped, *rotary)]
    causal = first_of(rest, "causal")
    misnamed = misnamed_tokens([n for n in rest if named[n].required])
    no_masks = (causal, misnamed)
    masks = tuple(
        n for n in rest if has_role(n, "mask") and n not in no_masks
    )
    if len(masks) > 1:
        masks = tuple(n for n in masks if not is_handed_on(named[n], said))
        # Beside a mask that is called so, M is for memory.
        masks = tuple(n for n in masks if len(n) > 1) or masks
    settings = [n for n in rest if is_configuration(named[n])]
    rest = [n for n in rest if n not in (*masks, *settings, causal)]
    qkv = qkv_of(rest)
    if qkv is not None:
        tokens = dict(zip(qkv, ("query", "key", "value"), strict=True))
    else:
        tokens = {rest[0]: "x"} if rest else {}
    cache = cache_roles(tuple(named[n] for n in rest if n not in tokens))
    others = [n for n in rest if n not in (*tokens, *cache.names)]
    lengths = first_of(others, "lengths")
    fixed: dict[str, object] = dict.fromkeys(settings, "configuration")
    fixed |= cache.at_rest
    may_be_none = [n for n in masks if is_optional(named[n])]
    fixed |= dict.fromkeys(may_be_none)
    left_alone = []
    for name in others:
        each = named[name]
        if name == lengths:
            continue
        if size_named(name) in ("heads", "kv_heads") and counts(each):
            fixed[name] = size_named(name)
        elif has_role(name, "context") and "x" in tokens.values():
            tokens[name] = "context"
        elif not each.required:
            left_alone += [name] if is_left_alone(each) else []
        elif has_role(name, "dropout"):
            fixed[name] = 0.0
        elif has_role(name, "training"):
            fixed[name] = False
        elif qkv is None and len(tokens) < 3 and each.annotation in TENSORS:
            tokens[name] = "context" if len(tokens) == 1 else "value"
        else:
            raise NotJudged(
                f"its call takes {name}, of which the judge does not know "
                "what it is; a default for it would let it be judged"
            )
    required = (*masks, lengths) if lengths else masks
    return CallRoles(
        tokens,
        masks,
        tuple(
            name
            for name in required
            if named[name].required and name not in may_be_none
        ),
        lengths,
        causal,
        fixed,
        dropped,
        tuple(left_alone),
        cache,
        rotary,
    )


def is_handed_on(parameter: Parameter, source: str) -> bool:
    """Whether it is what another layer has made of positions and masks,
    as in T5: it then stands in place of the masks of a call, or of what
    the layer else makes."""
    name = re.escape(parameter.name)
    made = rf"if {name} is None[^\n]*:\s*{name} = "
    of_positions = re.search(r"pos(ition)?(al)?_?bias", parameter.name) or (
        "bias" in parameter.name and re.search(made, source)
    )
    return not parameter.required and bool(of_positions)


def is_optional(parameter: Parameter) -> bool:
    """Whether it must be passed, and its annotation says that None may
    be."""
    may_be_none = re.search(r"Optional\b|\bNone\b", parameter.annotation)
    return parameter.required and may_be_none is not None


def counts(parameter: Parameter) -> bool:
    """Whether it may be a number: nothing says that it is None."""
    return parameter.required or parameter.default is not None


def misnamed_tokens(required: list[str]) -> str | None:
    """The first required argument, where it is tokens, though its name
    could be that of a mask: it is "hidden" or "masked_x", or none of the
    others can be tokens."""
    if not required or qkv_of(required):
        return None
    is_either = re.match(r"hidden|masked_", required[0].lower())
    only_masks = all(has_role(name, "mask") for name in required)
    return required[0] if is_either or only_masks else None


TENSORS = ("", "torch.Tensor", "Tensor", "numpy.ndarray", "np.ndarray")


class ClassBody:
    """Instances of a class, one for each of its sizes and precisions."""

    has_heads = False  # where its weights tell how many

    def __init__(self, host, thing: Thing, library: str):
        self.host, self.thing, self.library = host, thing, library
        said = f"{thing.docs}\n{thing.source}"
        self.roles = call_roles(thing.call, said=said)
        self.of_all = False  # whether a head's width is that of all heads
        self.guesses: tuple[str, ...] = ()
        self.optional: tuple[str, ...] = ()  # sizes that are given
        self.values_apart = True  # whether values have their own width
        self.built: dict[tuple, list] = {}
        self.instances = 0  # that were ever built

    def build(self, sizes: Sizes, dtype="float64", biased=True):
        """The name of an instance, and its parameters. Raises Raised."""
        key = self.key(sizes, dtype, biased)
        if key not in self.built:
            arguments = self.arguments(sizes, biased)
            self.instances += 1
            name = f"{self.thing.name}#{self.instances}"
            how = {"instance": name, "dtype": dtype}
            answer = self.host.build(self.thing.name, arguments, how)
            if answer.get("lazy"):
                answer = self.after_a_call(name, sizes, dtype)
            answer = answered(answer)
            parameters = used([tuple(p) for p in answer["parameters"]])
            told = answer["buffers"], answer["numbers"]
            self.built[key] = [name, parameters, *told, None]
        return self.built[key]

    def arguments(self, sizes: Sizes, biased=True) -> dict:
        """The constructor's. Raises NotJudged for one that is unknown."""
        width = width_of_a_head(self.thing, sizes, self.of_all)
        guessed = self.guesses, self.values_apart, self.optional
        return arguments_for(self.thing, sizes, width, biased, *guessed)

    def key(self, sizes: Sizes, dtype: str, biased: bool) -> tuple:
        """All that an instance is built by."""
        guessed = self.guesses, self.values_apart, self.optional
        return (sizes, dtype, biased, self.of_all, *guessed)

    def renew(self, sizes: Sizes, dtype: str) -> None:
        """Have the next call answered by an instance that keeps nothing
        of calls before."""
        name, *_ = self.built.pop(self.key(sizes, dtype, True), [None])
        if name:
            self.host.forget(name)

    def after_a_call(self, instance: str, sizes: Sizes, dtype: str) -> dict:
        """What is known of a lazy instance once it was called."""
        x = np.ones((2, TOKENS, sizes.d_in), dtype)
        named = dict.fromkeys(self.roles.tokens, x)
        self.host.call(instance, named, {"library": self.library})
        return self.host.parameters(instance)

    def parameters(self, sizes: Sizes, biased=True) -> list:
        return self.build(sizes, biased=biased)[1]

    def buffers(self, sizes: Sizes) -> list[str]:
        return self.build(sizes)[2]

    def beginnings(self, sizes: Sizes) -> dict[str, np.ndarray]:
        """The numbers that small parameters have before they get others."""
        return self.build(sizes)[3]

    def run(self, sizes, arrays, arguments, dtype, **how) -> dict:
        """Call with these weights. Raises Raised."""
        built = self.build(sizes, dtype)
        if built[-1] is not arrays:
            answered(self.host.assign(built[0], arrays))
            built[-1] = arrays
        how = {"library": self.library} | how
        return answered(self.host.call(built[0], arguments, how))

    def has_no_such_head(self, sizes: Sizes) -> bool:
        """Whether a head's width is a number only, as for the scale: no
        weight is as wide, so it must be that of all features."""
        width = width_of_a_head(self.thing, sizes, self.of_all)
        if takes(self.thing, "heads") or not takes(self.thing, "d_head"):
            return False
        shapes = [shape for _, shape, _ in self.parameters(sizes)]
        known = {sizes.d_in, sizes.d_out}.union(*shapes)
        return width not in known

    @property
    def has_sizes(self) -> bool:
        return any(takes(self.thing, s) for s in ("d_in", "d_out", "heads"))

    def choices(self) -> Iterator[Sizes]:
        """Sizes to build it with, from the most telling on; not again what
        comes to the same arguments."""
        tried = set()
        of_globals = tuple(sizes_of_globals(self.thing))
        if self.has_sizes:
            first = (*FIRST, *of_globals)
        elif takes(self.thing, "d_head"):
            first = (FIRST[0], *of_globals)
        else:
            first = (*of_globals, FIRST[0])
        if in_windows(self.thing):
            ways = product(first, WINDOWS)
            windowed = [
                replace(sizes, window=window, window_size=told)
                for sizes, (window, told) in ways
            ]
            first = (*windowed, *first)
        elif takes(self.thing, "reach"):
            sliding = [replace(sizes, reach=REACH) for sizes in first]
            first = (*sliding, *first)
        given = optional_sizes(self.thing)
        unknown = guesses_for(self.thing)
        ways = product(given, unknown, first, (True, False))
        for optional, guesses, sizes, apart in ways:
            for of_all in (False, True):
                self.guesses, self.of_all = guesses, of_all
                self.values_apart, self.optional = apart, optional
                arguments = attempt(self.arguments, sizes)
                plain = replace(sizes, reach=0)
                if sizes.reach and arguments == attempt(
                    self.arguments, plain
                ):
                    sizes = plain
                key = sizes, repr(arguments)
                if arguments is None or key not in tried:
                    tried.add(key)
                    yield sizes


def used(parameters: list) -> list:
    """Those that its output may depend on, by their names and shapes."""
    shapes = {label: shape for label, shape, _ in parameters}
    return [
        p
        for p in parameters
        if not (IGNORED.search(p[0]) or is_a_gradient(p[0], shapes))
    ]


def drawn(parameters: list, seed: int, dtype: str) -> dict:
    """Weights of normal numbers, in the order of the parameters."""
    generator, arrays = np.random.default_rng(seed), {}
    for name, shape, _ in parameters:
        *_, columns = (1, *shape[:2])  # of a number alone, one
        spread = 1.5 / max(1, columns) ** 0.5
        numbers = generator.normal(size=shape) * spread
        arrays[name] = np.asarray(numbers, dtype)
    return arrays


def second_sizes(first: Sizes) -> Iterator[Sizes]:
    """Sizes with heads of another width; of a window, larger ones."""
    larger = first.with_larger_windows()
    names = ("window", "window_size", "reach")
    windows = {name: getattr(larger, name) for name in names}
    others = [replace(first, heads=heads) for heads in (2, 4, 8)]
    others = [sizes for sizes in others if sizes.d_out % sizes.heads == 0]
    for sizes in (*SECOND, *others):
        if sizes.d_head != first.d_head:
            yield replace(sizes, **windows)
