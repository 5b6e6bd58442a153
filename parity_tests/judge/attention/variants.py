"""Variants: attention that is more than plain, found by its numbers.

A function that is wrong as plain attention may be right as what it is:
with a window, capped scores, or ALiBi. Which one is tried out, with the
numbers that stand in its source; what is found is judged as that, and
said. It goes before a known mistake that gives the same numbers, as a cap
of 30 after the mask all but does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from parity_tests.bounds.rounding import (
    Bounded,
    Rounding,
    distribution,
    scaled_scores,
    weighted_mean,
)
from parity_tests.exact import described
from parity_tests.exact.numbers import bounded
from parity_tests.judge.subject.cases import (
    AttentionCase,
    attention_cases,
    beyond_a_tile,
)
from parity_tests.judge.verdict.diagnosis import alike, output_for
from parity_tests.judge.verdict.property import Property

from .calling import Caller
from .conventions import float32_inside
from .property import Comparisons, equals_exact, identical

MOST_NUMBERS = 12  # of a source that are tried as windows and as caps
SMALL_WINDOWS = range(1, 5)
SIDES = ("", "earlier", "both")  # which keys a query sees
# ALiBi's slopes, and what is taken for a distance. They are the same
# where heads are a power of two, and where no key is later.
ALIBI = (None, *product(("paper", "code"), ("signed", "absolute")))
# What is asked of plain attention and of any other, too.
OF_ANY = ("inputs_are_left_as_they_were",)


@dataclass(frozen=True)
class Variant:
    """What is done beside plain attention, and to which keys.

    `sides`: whether a query sees earlier keys only, those within a window
    on both sides, or all. `aligned` says with which keys fewer queries
    are aligned, the last or the first; `alibi` has the slopes, of the
    paper or of its authors' code, and the distances.
    """

    window: int | None = None
    cap: float | None = None
    alibi: tuple[str, str] | None = None
    sides: str = ""
    aligned: str = "last"

    def __str__(self) -> str:
        said = []
        if self.window and self.sides == "earlier":
            said.append(f"a window of the last {self.window} keys")
        elif self.window:
            reach = self.window - 1
            said.append(f"a window of {reach} keys to each side")
        if self.cap:
            said.append(f"scores capped at {self.cap:g}")
        if self.alibi:
            said.append(
                "a bias that falls with distance, slopes 2^-8h/H: ALiBi"
            )
        return ", and ".join(said)

    def places(self, case: AttentionCase) -> tuple[np.ndarray, np.ndarray]:
        """The positions of the queries and of the keys."""
        queries, keys = case.query.shape[-2], case.key.shape[-2]
        past = keys - queries if self.aligned == "last" else 0
        return past + np.arange(queries), np.arange(keys)

    def visible(self, case: AttentionCase) -> np.ndarray:
        """Which key each query sees, of those that the mask allows."""
        query, key = self.places(case)
        distance = query[:, None] - key
        seen = np.ones(distance.shape, bool)
        if self.sides == "earlier":
            seen &= distance >= 0
        if self.window:
            seen &= abs(distance) < self.window
        return case.rows & seen

    def exact(self, case: AttentionCase) -> Bounded:
        """The context, with its error."""
        query, key, value = map(bounded, case.qkv)
        scores = scaled_scores(query, key)
        if self.cap:
            scores = described("soft_cap")(scores, self.cap)["capped"]
        if self.alibi:
            scores = scores + self.bias(case)
        return weighted_mean(
            distribution(scores, self.visible(case)), value
        )

    def bias(self, case: AttentionCase) -> Bounded:
        """ALiBi's, the slopes rounded as the tokens are."""
        heads = case.query.shape[-3] if case.query.ndim > 2 else 1
        which, distances = self.alibi
        slopes = SLOPES[which](heads)[:, None, None]
        rounding = Rounding.of(case.query.dtype)
        steep = Bounded(-slopes, 4 * rounding.u * slopes, rounding)
        query, key = self.places(case)
        distance = query[:, None] - key
        if distances == "absolute":
            distance = abs(distance)
        return steep * bounded(distance.astype(case.query.dtype))


def of_the_paper(heads: int) -> np.ndarray:
    """One sequence for any number of heads (Press et al. 2022)."""
    return 2.0 ** (-8 * np.arange(1, heads + 1) / heads)


def of_its_code(heads: int) -> np.ndarray:
    """That of a power of two, then every other one of twice as many."""
    power = 2 ** (heads.bit_length() - 1)
    between = of_the_paper(2 * power)[::2]
    return np.concatenate([of_the_paper(power), between[: heads - power]])


SLOPES = {"paper": of_the_paper, "code": of_its_code}


# Attention with nothing beside, causal or not.
PLAIN = tuple(
    Variant(sides=sides, aligned=aligned)
    for sides, aligned in product(("", "earlier"), ("last", "first"))
)


def variants_of(caller: Caller) -> Iterator[Variant]:
    """All that is tried, the simplest first; not plain attention."""
    numbers = numbers_of(caller)
    whole = {int(n) for n in numbers if n == int(n) and n < 10_000}
    windows = [None, *sorted({*SMALL_WINDOWS, *whole})]
    ways = product(ALIBI, (None, *numbers), SIDES, windows)
    for alibi, cap, sides, window in ways:
        has_window = window is not None and sides != ""
        is_open = window is None and sides != "both"
        if (has_window or is_open) and (alibi or cap or window):
            for aligned in ("last", "first"):
                yield Variant(window, cap, alibi, sides, aligned)


def numbers_of(caller: Caller) -> list[float]:
    """The numbers above 0 in a function's source."""
    thing = caller.thing
    found = re.findall(
        r"(?<![\w.])\d+(?:\.\d*)?(?:e-?\d+)?",
        f"{thing.source}\n{thing.helpers}",
    )
    numbers = dict.fromkeys(float(n) for n in found if float(n) > 0)
    return [*numbers][:MOST_NUMBERS]


def variant_of(subject) -> Variant | None:
    """The variant that gives all that an attention gives, if there is
    one; None, too, where plain attention gives it, and the fault is in
    what is not asked here."""
    stages = subject.probes()
    probes = [probe for probe in (*stages[0], *stages[-1]) if plain(probe)]
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


def where_any_is_seen(variant: Variant, case: AttentionCase) -> np.ndarray:
    """Which queries see a key: what others get is a convention."""
    return variant.visible(case).any(axis=-1, keepdims=True)


class AsVariant:
    """An attention as the variant that it is found to be."""

    def __init__(self, subject, variant: Variant):
        self.subject, self.variant = subject, variant
        self.limits, dtypes = subject.limits, subject.limits.dtypes
        if len(dtypes) > 1 and float32_inside(
            subject.caller, self.limits, self.right_context
        ):
            self.limits = replace(self.limits, dtypes=("float32",))

    def right_context(self, query, key, value) -> np.ndarray:
        case = AttentionCase(query, key, value, np.array(True))
        return self.variant.exact(case).value

    def cases(self):
        return attention_cases(self.limits)

    def __getattr__(self, name: str):
        return getattr(self.subject, name)

    def properties(self) -> Iterator[Property]:
        for each in self.subject.properties():
            if each.name in OF_ANY:
                yield each
        yield Property(equals_its_definition)
        yield Property(far_scores_uncover_nothing)
        yield Property(
            equals_it_beyond_a_tile,
            inputs=lambda subject: beyond_a_tile(subject.limits),
        )

    def not_asked(self) -> dict[str, str]:
        return {
            "properties of plain attention": "it is more: a variant",
            "queries that see no key": "what they get is a convention",
        }

    def mutants(self, probes) -> Iterator:
        return iter(())


def equals_its_definition(subject, case: AttentionCase) -> Comparisons:
    """The output is that of the variant, and it is the same again."""
    yield compared(subject, case)
    first, again = (seen_only(subject, case) for _ in range(2))
    yield identical("context, once more", again, first)


def seen_only(subject, case: AttentionCase) -> np.ndarray:
    seen = where_any_is_seen(subject.variant, case)
    return np.where(seen, subject.of(case), 0)


def compared(subject, case: AttentionCase, name: str = "context"):
    seen = where_any_is_seen(subject.variant, case)
    exact = subject.variant.exact(case)
    expected = replace(exact, value=np.where(seen, exact.value, 0))
    return equals_exact(name, seen_only(subject, case), expected)


def far_scores_uncover_nothing(subject, case: AttentionCase) -> Comparisons:
    """Scores far above zero, and far below, leave hidden keys hidden."""
    for sign in (1, -1):
        # A first feature that gives every score of a query the same.
        query, key = case.query.copy(), case.key.copy()
        query[..., 0], key[..., 0] = 3e2, sign * 1e2
        far = replace(case, query=query, key=key)
        yield compared(subject, far, f"context, scores of sign {sign}")


def equals_it_beyond_a_tile(subject, case: AttentionCase) -> Comparisons:
    """With more tokens than a tile holds, too, it is that of the
    variant."""
    yield from equals_its_definition(subject, case)
