"""Variants of a layer: what it may do beside plain attention.

Its arguments, its weights and its source tell what to try: a window, a
cap, ALiBi, sinks, and norms of queries and keys. What gives its numbers is
what it has; or else what gives them with a known mistake.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from parity_tests.judge.mutants.class_parts import layer_of_heads
from parity_tests.judge.mutants.variant_parts import WINDOW, mistakes_in
from parity_tests.judge.subject.intentions import (
    numbers_in,
    reaches_of,
    speaks_of_a_window,
    speaks_of_alibi,
    speaks_of_buckets,
)
from parity_tests.judge.subject.qk_norms import QKNorm, qk_norms_of
from parity_tests.judge.subject.variants import REACHES, SLOPES, Variant
from parity_tests.judge.subject.weights import Recipe, sinks_of
from parity_tests.judge.verdict.protocol import NotJudged

from .body import TOKENS
from .building import takes
from .cases import LayerCase

LONGEST = 64  # window of a source that is tried
BEYOND_NEAR = 24  # tokens, some of which share a bucket of distances


def reading_as_variant(
    layer, case: LayerCase, output, readings: list[tuple[Recipe, bool]]
) -> tuple[Recipe, bool] | None:
    """The reading of a layer that does more than plain attention: the
    right one, or one with a known mistake in that. Where it was said what
    it does, that in any case. Raises NotJudged where it was said to have
    sinks, and has none."""
    sinks = own_sinks(layer)
    if layer.said and layer.said.sinks and not sinks:
        parameters = layer.body.parameters(layer.sizes[0])
        got = ", ".join(label for label, _, _ in parameters)
        raise NotJudged(
            f"expected a parameter for its sinks, such as sinks, got {got}"
        )
    ways = [*variants_to_try(layer)]
    varied = [
        (replace(recipe, variant=variant, reach=reach, sinks=sinks), causal)
        for (variant, reach), (recipe, causal) in product(ways, readings)
        if causal == (variant.sides == "earlier")
    ]
    if found := layer.reading_with_masks(case, varied):
        return found
    first = {(r.variant, causal): (r, causal) for r, causal in varied[::-1]}
    is_told = layer.sizes[0].reach or layer.said
    mistakes = {
        name: mistake
        for variant, _ in ways
        for name, mistake in mistakes_in(variant)
        if is_told or name not in WINDOW  # not of one that is guessed
    }
    for mistake in mistakes.values():
        mutants = (partial(layer_of_heads, varied=mistake),)
        with np.errstate(all="ignore"):
            found = layer.reading_of(
                case, output, [*first.values()][::-1], mutants
            )
        if found:
            return found
    return varied[0] if layer.said and varied else None


def own_sinks(layer) -> str | None:
    """The name of its sinks, if it has some."""
    sizes = layer.sizes[0]
    return sinks_of(layer.body.parameters(sizes), sizes.heads)


def variants_to_try(layer) -> Iterator[tuple[Variant, str]]:
    """What it may do, the likeliest first, and how far a window reaches
    that an argument tells; what it was said to do, where none does."""
    is_one_way = layer.should_be_causal() or layer.said
    sinks = (0.0,) if own_sinks(layer) else ()
    ways = product(alibi_of(layer), caps_of(layer), windows_of(layer))
    for alibi, cap, (window, reach) in ways:
        sides = ("both" if window else "", "earlier")
        for side in sides[::-1] if is_one_way else sides:
            if alibi or cap or window or sinks:
                variant = Variant(window, cap, alibi, side, sinks=sinks)
                yield variant, reach


def windows_of(layer) -> list[tuple[int | None, str]]:
    """Windows, and how far those reach that an argument tells."""
    if told := layer.sizes[0].reach:
        said = layer.said and layer.said.window
        names = reaches_of(layer.thing, told=said)
        return [(REACHES[name](told) + 1, name) for name in names]
    if layer.said and layer.said.window:
        return [(layer.said.window, "")]
    if layer.sizes[0].window:  # of an image, all of which is seen
        return [(None, "")]
    return [(n, "") for n in written_windows(layer.thing)] or [(None, "")]


def written_windows(thing) -> list[int]:
    """Numbers of a source that speaks of a window: as they are, and one
    more, as they may not count the query's own key."""
    if not speaks_of_a_window(thing):
        return []
    whole = [int(n) for n in numbers_in(thing) if n == int(n)]
    short = [n for n in whole if n <= LONGEST]
    return [*dict.fromkeys((*short, *(n + 1 for n in short)))]


def tokens_that_show(layer) -> int:
    """How many tokens an input needs that shows a window which stands in
    its source, or buckets of distances, if it takes as many."""
    if layer.sizes[0].reach or layer.sizes[0].window:
        return TOKENS
    if speaks_of_buckets(layer.thing):
        return min(BEYOND_NEAR, layer.most_tokens)
    longest = max(written_windows(layer.thing), default=0) + 2
    return longest if TOKENS < longest <= layer.most_tokens else TOKENS


def caps_of(layer) -> list[float | None]:
    has_argument = takes(layer.thing, "cap")
    if layer.said and layer.said.cap and not has_argument:
        return [layer.said.cap]
    if "tanh(" not in f"{layer.thing.source}{layer.thing.helpers}":
        return [None]
    told = [layer.sizes[0].cap] if has_argument else []
    return [*told, *numbers_in(layer.thing)]


def alibi_of(layer) -> list[tuple[str, str] | None]:
    if speaks_of_alibi(layer.thing):
        return [*product(SLOPES, ("signed", "absolute"))]
    return [layer.said.alibi if layer.said else None]


def qk_norms_to_try(parameters, epsilons, thing) -> list[QKNorm | None]:
    """The norms that its queries and keys may have, if any; from the
    likeliest epsilon on, which is the source's, if that has one."""
    names = qk_norms_of(parameters)
    if not names:
        return [None]
    is_written = "eps" in f"{thing.source}{thing.helpers}"
    tried = (*epsilons, None) if is_written else (None, *epsilons)
    ways = product((True, False), tried)
    return [QKNorm(*names, *way) for way in ways]
