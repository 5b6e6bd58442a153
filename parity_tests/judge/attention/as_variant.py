"""`AsVariant`: an attention under judgement as the variant that it is.

What the variant is was found by its numbers (`variants.py`), told by
arguments of its own, such as `window` or `sinks`, or said by whoever asks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np

from parity_tests.judge.mutants.variant_parts import (
    attention_as,
    mistakes_in,
)
from parity_tests.judge.subject.cases import (
    AttentionCase,
    attention_cases,
    beyond_a_tile,
    mask_of,
    mask_shape,
    normal_arrays,
)
from parity_tests.judge.subject.intentions import reaches_of
from parity_tests.judge.subject.variants import (
    REACHES,
    Variant,
    heads_in,
    where_any_is_seen,
)
from parity_tests.judge.verdict.diagnosis import alike, output_for
from parity_tests.judge.verdict.property import Property
from parity_tests.judge.verdict.protocol import NotJudged, attempt

from .calling import BATCHES, Caller
from .conventions import float32_inside
from .property import Comparisons, equals_exact, identical

# What is asked of plain attention and of any other, too.
OF_ANY = ("inputs_are_left_as_they_were",)
IN_WORDS = {
    "cap": "scores capped at {}",
    "slopes": "a bias that falls with distance, times {}: ALiBi",
    "sinks": "a sink for each head, {}, which takes a share",
}
WINDOW_IN_WORDS = {
    ("earlier", "w - 1"): "a window of the last {} keys",
    ("earlier", "w"): "a window of the query's own key and {} before it",
    ("earlier", "w // 2"): (
        "a window of the query's own key and {} // 2 before it"
    ),
    ("both", "w - 1"): "a window of {} - 1 keys to each side",
    ("both", "w"): "a window of {} keys to each side",
    ("both", "w // 2"): "a window of {} // 2 keys to each side",
}
CAPS = (0.5, 2.0, 8.0, 30.0)
OF_ALIBI = tuple(product(("code", "paper"), ("signed", "absolute")))


@dataclass(frozen=True)
class Told:
    """What a function is told of its variant by arguments of its own.

    `reach` is a key of REACHES; `window` and `cap` are numbers where they
    were said, else they are drawn for each input.
    """

    kinds: tuple[str, ...] = ()
    reach: str = "w - 1"
    window: int | None = None
    cap: float | None = None

    def given(self, case: AttentionCase) -> dict[str, object]:
        """The numbers that are passed with one input, by their kinds."""
        random = np.random.default_rng([case.seed, 1])
        heads = heads_in(case.query.shape)
        drawn = {
            "window": 1 + int(random.integers(case.key.shape[-2] + 1)),
            "cap": float(random.choice(CAPS)),
            "slopes": tuple(2.0 ** -random.integers(0, 9, heads)),
            "sinks": tuple(random.integers(-8, 9, heads) / 4),
        }
        said = {"window": self.window, "cap": self.cap}
        drawn |= {kind: n for kind, n in said.items() if n is not None}
        return {kind: drawn[kind] for kind in self.kinds}

    def variant(self, base: Variant, case: AttentionCase) -> Variant:
        """The variant that these numbers make of a base."""
        given, fields = self.given(case), {}
        if "window" in given:
            fields["window"] = REACHES[self.reach](given["window"]) + 1
        if "cap" in given:
            fields["cap"] = given["cap"]
        if "slopes" in given:
            fields["alibi"] = given["slopes"], base.alibi[1]
        if "sinks" in given:
            fields["sinks"] = given["sinks"]
        return replace(base, **fields)


class AsVariant:
    """An attention as a variant.

    `variant` is what it is beside what it is `told`.
    """

    kind = "attention"
    when_random = "the output is random, as with dropout"
    mask_is_declared = True

    def __init__(self, subject, variant: Variant, told: Told = Told()):
        self.subject, self.variant, self.told = subject, variant, told
        self.is_asked_causally, self.is_found = False, True
        self.name, self.is_meant = subject.name, subject.is_meant
        self.limits, dtypes = subject.limits, subject.limits.dtypes
        if {"slopes", "sinks"} & {*told.kinds}:
            most = self.limits.batch_axes[-1:]  # with an axis for heads
            self.limits = replace(self.limits, batch_axes=most)
        if len(dtypes) > 1 and float32_inside(
            self.caller(), self.limits, self.right_context
        ):
            self.limits = replace(self.limits, dtypes=("float32",))

    @property
    def said(self) -> str:
        """What it is, in words."""
        beside = self.subject.caller.calling.roles.beside
        is_told = "slopes" in self.told.kinds
        alibi = None if is_told else self.variant.alibi
        own = str(replace(self.variant, alibi=alibi))
        said = [own] if own else []
        window = WINDOW_IN_WORDS.get((self.variant.sides, self.told.reach))
        for each in beside:
            words = IN_WORDS.get(each.kind, window)
            said.append(words.format(each.name))
        return ", and ".join(said)

    # --- calls -----------------------------------------------------------

    def caller(self) -> Caller:
        """Its caller, with the numbers of the trial's input."""
        query, key, value = trial_arrays(self.limits, 0)
        case = AttentionCase(query, key, value, np.array(True))
        return self.subject.caller.changed(given=self.told.given(case))

    def right_context(self, query, key, value) -> np.ndarray:
        case = AttentionCase(query, key, value, np.array(True))
        return self.variant_for(case).exact(case).value

    def variant_for(self, case: AttentionCase) -> Variant:
        return self.told.variant(self.variant, case)

    def of(self, case: AttentionCase) -> np.ndarray:
        """Its output for an input."""
        options = {"causal": True} if self.is_asked_causally else {}
        given = self.told.given(case)
        return self.subject(**case.arrays, given=given, **options)

    @property
    def can_be_causal(self) -> bool:
        """Whether it has a causal form that is not asked already."""
        has_form = self.subject.caller.calling.roles.causal is not None
        return has_form and not self.is_asked_causally

    @property
    def in_causal_form(self) -> "AsVariant":
        """The same, asked for its causal form."""
        variant = replace(self.variant, sides="earlier")
        causal = AsVariant(self.subject, variant, self.told)
        causal.is_asked_causally = True
        return causal

    def __getattr__(self, name: str):
        return getattr(self.subject, name)

    # --- as a subject ----------------------------------------------------

    def cases(self):
        return attention_cases(self.limits)

    def properties(self) -> Iterator[Property]:
        for each in self.subject.properties():
            if each.name in OF_ANY:
                yield each
        yield Property(equals_its_definition)
        yield Property(far_scores_uncover_nothing)
        yield Property(equals_it_beyond_a_tile, inputs=long_inputs)
        if self.can_be_causal:
            yield Property(its_causal_form_is_so_too)

    def not_asked(self) -> dict[str, str]:
        missing = {
            "properties of plain attention": "it is more: a variant",
            "queries that see no key": "what they get is a convention",
        }
        if self.is_asked_causally:
            missing["its variant without its causal form"] = (
                "it is none that the judge knows"
            )
        return missing

    # --- for the diagnosis -----------------------------------------------

    def probes(self) -> list[list]:
        trials = trial_cases(self.limits)
        far = [far_scores(case, -1) for case in trials]
        longer = [c for c in long_inputs(self) if c.query.shape[-2] < 200]
        return [trials, far, longer]

    def answer(self, probe) -> np.ndarray:
        return seen_only(self, probe)

    def right(self, probe) -> np.ndarray:
        return definition(self, probe).value

    def changes(self, probe) -> bool:
        return False  # a property asks it

    def agree(self, output, expected, probe) -> bool:
        seen = where_any_is_seen(self.variant_for(probe), probe)
        return alike(output, np.where(seen, expected, 0))

    def mutants(self, probes) -> Iterator:
        for name, mutant in mistakes_in(self.variant_for(probes[0])):
            yield name, partial(self.mistaken, mutant)

    def mistaken(self, mutant, probe) -> np.ndarray:
        return attention_as(self.variant_for(probe), probe, mutant)

    def other_cause(self) -> str | None:
        """Whether its causal form is what it is without."""
        if not self.can_be_causal:
            return None
        causal, trials = self.in_causal_form, trial_cases(self.limits)
        for case in trials:
            output = attempt(causal.of, case)
            if output is None or not self.agree(
                seen_as(self, case, output), self.right(case), case
            ):
                return None
        return f"causal is dropped beside {self.said}"


# --- the way it is told --------------------------------------------------


def as_told(subject, said: Variant | None) -> AsVariant:
    """It as the variant that its arguments or whoever asks say.

    What is open, such as whether a window reaches to both sides, is tried
    out; where nothing gives its numbers, the likeliest is taken. Raises
    NotJudged where it takes no sinks and is said to have some.
    """
    said = said or Variant()
    beside = subject.caller.calling.roles.beside
    kinds = tuple(each.kind for each in beside)
    if said.sinks and "sinks" not in kinds:
        names = ", ".join(p.name for p in subject.caller.thing.parameters)
        raise NotJudged(
            f"expected an argument for its sinks, such as sinks, got "
            f"({names})"
        )
    numbers = {"window": said.window, "cap": said.cap}
    passed = {k: n for k, n in numbers.items() if k in kinds}
    ways = [
        AsVariant(subject, variant, Told(kinds, reach, **passed))
        for variant, reach in bases(subject, said, kinds)
    ]
    causal = [way.in_causal_form for way in ways if way.can_be_causal]
    found = next((way for way in (*ways, *causal) if fits(way)), None)
    way = found or ways[0]
    way.is_found = found is not None
    return way


def bases(subject, said: Variant, kinds) -> Iterator[tuple[Variant, str]]:
    """What it may be, from the likeliest on, and how far back the window
    of a number reaches."""
    is_causal = subject.conventions.causal == "always"
    has_window = said.window is not None or "window" in kinds
    sides = ("both" if has_window else "", "earlier")
    if is_causal or said.window is not None:
        sides = ("earlier", *sides[:1])
    alibi: tuple = (None,)
    if "slopes" in kinds:
        alibi = (("given", "signed"), ("given", "absolute"))
    elif said.alibi:
        alibi = OF_ALIBI
    reaches = ["w - 1"]
    if "window" in kinds:
        reaches = reaches_of(subject.caller.thing, told=said.window)
    for reach, each, side, aligned in product(
        reaches, alibi, sides, ("last", "first")
    ):
        window = None if "window" in kinds else said.window
        cap = None if "cap" in kinds else said.cap
        yield Variant(window, cap, each, side, aligned), reach


def fits(way: AsVariant) -> bool:
    """Whether it gives what its definition does, on a few inputs."""
    for case in [*trial_cases(way.limits), *long_inputs(way)[:2]]:
        output = output_for(way, case)
        if output is None or not way.agree(output, way.right(case), case):
            return False
    return True


# --- inputs --------------------------------------------------------------


def trial_arrays(limits, seed: int, tokens: int = 7) -> list[np.ndarray]:
    """Query, key and value within the limits, of so many keys."""
    queries = tokens if limits.square else max(1, tokens - 2)
    sizes = queries, tokens, 4, 4 if limits.one_width else 6
    batch = BATCHES[limits.batch_axes[-1]]
    random = np.random.default_rng(seed)
    return normal_arrays(random, batch, sizes, limits.dtypes[-1])


def trial_cases(limits) -> list[AttentionCase]:
    """A few inputs, with a mask where it takes one."""
    kind = "random" if "random" in limits.masks else "open"
    cases = []
    for seed, tokens in enumerate((7, 6, 5, 7)):
        query, key, value = trial_arrays(limits, seed, tokens)
        shape = (*query.shape[:-1], key.shape[-2])
        random = np.random.default_rng(seed)
        mask = mask_of(
            kind if seed % 2 else "open",
            mask_shape(limits.mask_axes, shape),
            random,
        )
        cases.append(AttentionCase(3 * query, key, value, mask, seed))
    return cases


def long_inputs(way: AsVariant) -> list[AttentionCase]:
    """Inputs beyond a tile, and beyond the window, if that is known."""
    cases = beyond_a_tile(way.limits)
    if window := way.told.window or way.variant.window:
        for seed, tokens in enumerate((window, window + 1, window + 3)):
            arrays = trial_arrays(way.limits, seed, tokens)
            cases.insert(0, AttentionCase(*arrays, np.array(True), seed))
    return cases


def far_scores(case: AttentionCase, sign: int) -> AttentionCase:
    """A first feature that gives every score of a query the same."""
    query, key = case.query.copy(), case.key.copy()
    query[..., 0], key[..., 0] = 3e2, sign * 1e2
    return replace(case, query=query, key=key)


# --- properties ----------------------------------------------------------


def equals_its_definition(subject, case: AttentionCase) -> Comparisons:
    """The output is that of the variant, and it is the same again."""
    yield compared(subject, case)
    first, again = (seen_only(subject, case) for _ in range(2))
    yield identical("context, once more", again, first)


def seen_only(subject, case: AttentionCase) -> np.ndarray:
    return seen_as(subject, case, subject.of(case))


def seen_as(subject, case: AttentionCase, output) -> np.ndarray:
    """An output, with zeros for queries that see no key."""
    seen = where_any_is_seen(subject.variant_for(case), case)
    return np.where(seen, output, 0)


def definition(subject, case: AttentionCase):
    """What the variant gives, with its error, where any key is seen."""
    variant = subject.variant_for(case)
    seen, exact = where_any_is_seen(variant, case), variant.exact(case)
    return replace(exact, value=np.where(seen, exact.value, 0))


def compared(subject, case: AttentionCase, name: str = "context"):
    expected = definition(subject, case)
    return equals_exact(name, seen_only(subject, case), expected)


def far_scores_uncover_nothing(subject, case: AttentionCase) -> Comparisons:
    """Scores far above zero, and far below, leave hidden keys hidden."""
    for sign in (1, -1):
        far = far_scores(case, sign)
        yield compared(subject, far, f"context, scores of sign {sign}")


def its_causal_form_is_so_too(subject, case: AttentionCase) -> Comparisons:
    """In its causal form it is that of the variant as well, and no query
    sees a later key."""
    yield compared(subject.in_causal_form, case)


def equals_it_beyond_a_tile(subject, case: AttentionCase) -> Comparisons:
    """With more tokens than a tile holds, too, it is that of the
    variant."""
    yield from equals_its_definition(subject, case)
