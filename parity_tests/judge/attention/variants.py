"""Finding a variant: attention that is more than plain, by its numbers.

A function that is wrong as plain attention may be right as what it is:
with a window, capped scores, or ALiBi. Which one is tried out, with the
numbers that stand in its source; what is found is judged as that, and
said. It goes before a known mistake that gives the same numbers, as a cap
of 30 after the mask all but does.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from numpy_ref.masks import causal_mask
from parity_tests.judge.mutants.attention_parts import Probe
from parity_tests.judge.subject.cases import AttentionCase, normal_arrays
from parity_tests.judge.subject.intentions import (
    numbers_in,
    speaks_of_a_window,
)
from parity_tests.judge.subject.variants import Variant, where_any_is_seen
from parity_tests.judge.verdict.diagnosis import alike, output_for

from .calling import Caller
from .property import Comparisons, equals_exact

MOST_NUMBERS = 12  # of a source that are tried as windows and as caps
SMALL_WINDOWS, LONG, LONGEST = range(1, 5), 100, 1024
SIDES = ("", "earlier", "both")  # which keys a query sees
# ALiBi's slopes, and what is taken for a distance. They are the same
# where heads are a power of two, and where no key is later.
ALIBI = (None, *product(("paper", "code"), ("signed", "absolute")))

# Attention with nothing beside, causal or not.
PLAIN = tuple(
    Variant(sides=sides, aligned=aligned)
    for sides, aligned in product(("", "earlier"), ("last", "first"))
)


def variants_of(caller: Caller) -> Iterator[Variant]:
    """All that is tried, the simplest first; not plain attention."""
    numbers, whole = numbers_of(caller), windows_in(caller)
    longer = {n + 1 for n in whole}  # it may not count the query's own key
    windows = [None, *sorted({*SMALL_WINDOWS, *whole, *longer})]
    ways = product(ALIBI, (None, *numbers), SIDES, windows)
    for alibi, cap, sides, window in ways:
        has_window = window is not None and sides != ""
        is_open = window is None and sides != "both"
        if (has_window or is_open) and (alibi or cap or window):
            for aligned in ("last", "first"):
                yield Variant(window, cap, alibi, sides, aligned)


def numbers_of(caller: Caller) -> list[float]:
    """The numbers above 0 in a function's source."""
    return numbers_in(caller.thing)[:MOST_NUMBERS]


def windows_in(caller: Caller) -> set[int]:
    """The numbers of a function's source that may be windows."""
    return {
        int(n) for n in numbers_of(caller) if n == int(n) and n <= LONGEST
    }


def may_have_a_long_window(caller: Caller) -> bool:
    """Whether its source speaks of one that is longer than what plain
    attention is asked with."""
    longest = max(windows_in(caller), default=0)
    return longest >= LONG and speaks_of_a_window(caller.thing)


def long_cases(subject) -> list[AttentionCase]:
    """As many tokens as show the longest window of its source."""
    longest = max(windows_in(subject.caller), default=0)
    if longest < LONG:
        return []
    axes, tokens = subject.limits.batch_axes[0], longest + 3
    sizes = tokens, tokens, 4, 4 if subject.limits.one_width else 6
    arrays = normal_arrays(
        np.random.default_rng(9),
        (1, 1)[:axes],
        sizes,
        subject.limits.dtypes[-1],
    )
    is_causal = subject.conventions.causal == "always"
    mask = causal_mask(tokens, tokens) if is_causal else np.array(True)
    return [AttentionCase(*arrays, mask)]


def no_window_hides_a_key(subject, case: AttentionCase) -> Comparisons:
    """With more keys than any window that its source speaks of, the
    output is still that of plain attention."""
    exact = subject.exact(replace(case, mask=case.rows))
    yield equals_exact("context", subject.of(case), exact)


def variant_of(subject) -> Variant | None:
    """The variant that gives all that an attention gives, if there is
    one; None, too, where plain attention gives it, and the fault is in
    what is not asked here."""
    first, *_, last = subject.probes()
    is_causal = subject.conventions.causal == "always"
    long = [Probe(*c.qkv, causal=is_causal) for c in long_cases(subject)]
    every = (*first, *last, *long)
    probes = [probe for probe in every if plain(probe)]
    answers = [(probe, output_for(subject, probe)) for probe in probes]
    asked = [(p, output) for p, output in answers if output is not None]
    if not asked or len(asked) < len(probes):
        return None
    for variant in (*PLAIN, *variants_of(subject.caller)):
        if all(gives(variant, subject, *each) for each in asked):
            return None if variant in PLAIN else variant
    return None


def plain(probe) -> bool:
    """Whether all that is asked stands in its arrays and its mask."""
    return not (probe.parts or probe.masks[1:] or probe.has_fewer_key_heads)


def gives(variant: Variant, subject, probe, output) -> bool:
    """Whether it has given what the variant gives."""
    mask = np.array(True) if probe.mask is None else probe.mask
    case = AttentionCase(probe.query, probe.key, probe.value, mask)
    with np.errstate(all="ignore"):
        expected = variant.exact(case).value
    seen = where_any_is_seen(variant, case)
    return alike(np.where(seen, output, 0), np.where(seen, expected, 0))
