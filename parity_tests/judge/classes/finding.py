"""Finding a way to call a layer: by trial, from the likeliest on."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, product

import numpy as np

from parity_tests.judge.attention.calling import (
    as_array,
    paths_of,
    shape_of,
)
from parity_tests.judge.attention.conventions import Declared
from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.subject.forms import (
    is_held,
    libraries_to_try,
    open_forms,
)
from parity_tests.judge.subject.masks import forms_told
from parity_tests.judge.subject.rotary import Table, tables_to_try
from parity_tests.judge.subject.weights import role_of
from parity_tests.judge.verdict.protocol import NotAsked, NotJudged, Raised

from .body import ClassBody
from .building import Sizes, in_windows, names_size
from .calling import CalledLayer, Way
from .function import (
    FunctionBody,
    heads_may_be_apart,
    holds_heads,
    orientations,
    parts_to_try,
)
from .images import takes_images

# A docstring that gives a matrix two equal sizes: "W_Q: (d, d)".
SQUARE = re.compile(r"[wW]\w*[^\n]*\((\w+),\s*\1\)")

# Attention of other kinds, by what their sources have: scores from the
# tanh of a sum or of what is joined, and no product of queries and keys.
SUM_IN_TANH = re.compile(r"tanh\([^\n]*?(\bcat\w*\(|\w+ \+ \w+)")
PRODUCTS = re.compile(
    r"[\w)\]] ?@ ?[\w(]|(matmul|einsum|bmm|mm|dot|dot_product_attention|"
    r"MultiheadAttention)\("
)
WRONG_WIDTH = "shapes cannot be multiplied"
IN_16_BITS = re.compile(r"\b(Half|BFloat16|b?float16)\b")
NOT_IN_16_BITS = "layers are asked in 32 and 64 only"
NO_LAYER = "it makes none of its own: its call takes"

Body = ClassBody | FunctionBody


def way_to_call(host, thing: Thing, declared: Declared) -> Way:
    """The first way that gives an output. Raises NotJudged."""
    if is_additive(thing):
        raise NotJudged(
            "it seems to have additive attention, with scores from the "
            "tanh of a sum, which the judge does not know"
        )
    troubles: dict[str, None] = {}  # in order
    for body in bodies(host, thing, declared):
        for sizes in body.choices():
            try:
                way = way_of(body, sizes, troubles)
            except NotJudged as error:
                troubles.setdefault(str(error), None)
                continue
            except Raised as error:
                troubles.setdefault(f"it {error}", None)
                continue
            if way is not None:
                return way
    if in_windows(thing):
        raise NotJudged(
            "it seems to have attention in windows of a size that it is "
            "built for, and in none that was tried did it give an output"
        )
    raise NotJudged(most_telling([*troubles, *joined_tokens(thing)]))


def joined_tokens(thing: Thing) -> list[str]:
    """What is in the way where all three come in one array."""
    required = [each.name for each in thing.call if each.required]
    if len(required) == 1 and role_of(required[0].lower()) == "joined":
        return [
            f"{NO_LAYER} {required[0]}, queries, keys and values in one "
            "array; a layer that makes them is judged"
        ]
    return []


def is_additive(thing: Thing) -> bool:
    """Whether it seems to have no scores that are products."""
    is_sum = SUM_IN_TANH.search(thing.source) is not None
    return is_sum and not PRODUCTS.search(thing.source + thing.helpers)


def most_telling(troubles: list[str]) -> str:
    """Of all troubles the first; but a name that is not there, as of a
    package that is missing, would be in the way of any trial, and so is
    what is no layer of tokens. Where the first is that tokens are not as
    wide as weights, another error tells more: most widths are wrong."""
    always = ("it raised NameError", NO_LAYER)
    missing = [t for t in troubles if t.startswith(always)]
    first, *_ = [*missing, *troubles, "it gave no output"]
    if WRONG_WIDTH in first:
        errors = (t for t in troubles if t.startswith("it raised"))
        first = next((t for t in errors if WRONG_WIDTH not in t), first)
    if IN_16_BITS.search(first):
        return f"{first}; it computes in 16 bits, and {NOT_IN_16_BITS}"
    return first


def bodies(host, thing: Thing, declared: Declared) -> Iterator[Body]:
    libraries = libraries_to_try(thing, declared.arrays)
    if thing.is_class:
        for library in libraries[:1] if thing.is_module else libraries:
            yield ClassBody(host, thing, library)
        return
    named = thing.name.replace("_", "").lower()
    takes_heads = names_size(thing.parameters, "heads") or holds_heads(
        thing
    )
    are_apart = heads_may_be_apart(thing)
    by_shape = "multihead" in named and not takes_heads
    if by_shape and not are_apart:
        names = ", ".join(each.name for each in thing.parameters)
        raise NotJudged(
            f"expected the number of heads among its arguments: ({names})"
        )
    is_square = re.search(SQUARE, thing.docs)
    shapes = (True, False) if is_square else (takes_heads, True)
    plain = [] if by_shape else product([False], orientations(thing))
    forms = [*plain, *([(True, False)] if are_apart else [])]
    ways = product(libraries, shapes, parts_to_try(thing), forms)
    for *way, (by_head, turned) in ways:
        yield FunctionBody(host, thing, *way, by_head, turned)


def way_of(body: Body, sizes: Sizes, troubles: dict) -> Way | None:
    """A way to call this body in these sizes, if there is one."""
    if body.has_no_such_head(sizes):
        return None
    shapes = [shape for _, shape, _ in body.parameters(sizes)]
    widths = {width for shape in shapes for width in shape}
    own = widths - {sizes.d_in, sizes.d_out}
    width_by_sizes = [
        lambda s: s.d_in,
        lambda s: s.d_out,
        *((lambda _, width=width: width) for width in sorted(own)),
    ]
    roles = body.roles
    held = any(is_held(body.thing, name) for name in roles.required_masks)
    told = forms_told(body.thing, roles.required_masks)
    forms = chain(
        [told] if told else [],
        open_forms(roles.required_masks, roles.lengths, 1, held),
    )
    layouts = (True, False) if takes_images(body.thing) else (False,)
    tables = tables_for(CalledLayer(Way(body, sizes, width_by_sizes[0])))
    ways = product(tables, forms, width_by_sizes, layouts)
    for table, each, width, image in ways:
        way = Way(body, sizes, width, each, of_images=image, table=table)
        result = path_to_output(way, widths, troubles)
        if result is not None:
            path, apart = result
            return replace(way, result=path, heads_apart=apart)
    return None


def tables_for(layer: CalledLayer) -> list[Table | None]:
    """The rotary tables that it may take; None where it takes none."""
    count = len(layer.body.roles.rotary)
    told = layer.host, layer.thing, layer.body.library
    width = layer.d_head_at(0)
    return [*tables_to_try(*told, count, width)] if count else [None]


def path_to_output(way: Way, widths: set, troubles: dict) -> tuple | None:
    """Where the output is in what is returned, and whether its heads are
    apart; None if there is none."""
    layer = CalledLayer(way)
    for axes in layer.batch_axes:
        case = layer.case(axes=axes, dtype="float32")
        try:
            value = layer.reply(case)["value"]
        except (NotAsked, Raised) as error:
            troubles.setdefault(f"it {error}", None)
            continue
        for apart, (path, part) in product((False, True), paths_of(value)):
            layer.heads_apart = apart
            array = layer.output_from(as_array(part), case)
            shape = getattr(array, "shape", ())
            # Anything as wide as there are tokens could be the weights.
            tokens = case.x.shape[-2]
            wide = shape and (shape[-1] != tokens or tokens in widths)
            if wide and shape[:-1] == case.x.shape[:-1]:
                # A NaN may come from the wrong form of a mask.
                if np.isfinite(array).all() or not way.forms:
                    return path, apart
                troubles.setdefault("it returned a NaN", None)
        got = shape_of(value)
        tokens = layer.tokens
        troubles.setdefault(f"it returned {got}, expected {tokens} tokens")
    return None
