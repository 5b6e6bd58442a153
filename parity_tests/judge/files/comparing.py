"""Comparing a function with a reference that is given, and not with ours.

Both are called as they want to be called, on the same inputs, and may
differ by what rounding explains. What attention is by definition does not
come into it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from math import inf, isfinite, log, sqrt
from pathlib import Path

import numpy as np
from hypothesis.strategies import SearchStrategy

from parity_tests.bounds.half_profile import FORMATS
from parity_tests.bounds.rounding import Rounding
from parity_tests.judge.attention.caches import cache_not_asked
from parity_tests.judge.attention.conventions import (
    NOTHING_DECLARED,
    Declared,
)
from parity_tests.judge.attention.function import AttentionFunction
from parity_tests.judge.attention.probes import probes
from parity_tests.judge.attention.property import steps
from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.mutants.attention_parts import attention, visible
from parity_tests.judge.subject.cases import (
    AttentionCase,
    Range,
    attention_cases,
    beyond_a_tile,
    causal,
)
from parity_tests.judge.subject.roles import left_at_defaults
from parity_tests.judge.verdict.loop import Budget, judge_subject
from parity_tests.judge.verdict.property import Comparisons, Property, same
from parity_tests.judge.verdict.protocol import (
    Broken,
    Lost,
    NotAsked,
    NotJudged,
    Raised,
)
from parity_tests.judge.verdict.report import Report
from parity_tests.twins.comparing import Comparison

IN_16_BITS = {
    name: Rounding(half.u, half.normal) for name, half in FORMATS.items()
}
NOT_AN_ANSWER = (Broken, NotAsked, Raised)


def compare_with(
    host,
    thing: Thing,
    reference_host,
    reference_thing: Thing,
    declared: Declared,
    budget: Budget,
) -> Report:
    """Judge a function by a reference, which counts as right.

    `declared` speaks of the function; how the reference wants to be
    called is detected.
    """
    try:
        candidate = attention_of(host, thing, declared)
        reference = reference_of(reference_host, reference_thing)
        subject = BesideAReference(candidate, reference)
    except (Lost, NotJudged) as trouble:
        kind = kind_beside(reference_thing.name)
        return Report(thing.name, kind, trouble=str(trouble))
    report = judge_subject(subject, budget)
    return replace(
        report,
        conventions=candidate.conventions.plain(),
        remarks=() if report.trouble else tuple(subject.remarks()),
    )


def kind_beside(reference_name: str) -> str:
    return f"attention, beside the reference {reference_name}"


def attention_of(
    host, thing: Thing, declared: Declared = NOTHING_DECLARED
) -> AttentionFunction:
    """A function of query, key and value. Raises NotJudged."""
    if thing.is_class:
        raise NotJudged(
            f"expected a function of query, key and value, got the class "
            f"{thing.name}: classes are not compared with a reference"
        )
    return AttentionFunction(host, thing, declared)


def reference_of(host, thing: Thing) -> AttentionFunction:
    """The same; what is wrong is said of the reference."""
    try:
        return attention_of(ReferenceHost(host), thing)
    except NotJudged as trouble:
        raise NotJudged(f"the reference: {trouble}") from trouble


class ReferenceHost:
    """The host of the reference: if it is lost, that is said of it."""

    def __init__(self, host):
        self.host = host

    def call(self, *request) -> dict:
        try:
            return self.host.call(*request)
        except Lost as trouble:
            raise type(trouble)(f"the reference: {trouble}") from trouble


# --- which reference -----------------------------------------------------


def named_reference(text: str) -> tuple[Path, str]:
    """The file and the function in FILE:FUNCTION. Raises ValueError."""
    file, _, function = text.rpartition(":")
    if not file or not function.isidentifier():
        raise ValueError(
            "expected --reference to be FILE:FUNCTION, as in "
            f"other.py:attention, got {text!r}"
        )
    if not Path(file).is_file():
        raise ValueError(f"expected --reference to be a file, got {file!r}")
    return Path(file), function


def thing_called(name: str, things: list[Thing], path: Path) -> Thing:
    """What the file of a reference has under this name.

    Raises NotJudged if that is nothing.
    """
    for thing in things:
        if thing.name == name:
            return thing
    names = ", ".join(thing.name for thing in things) or "nothing"
    raise NotJudged(
        f"expected a function {name} in {path.name}, got {names}"
    )


# --- properties ----------------------------------------------------------


def equals_the_given_reference(subject, case: AttentionCase) -> Comparisons:
    """The output is that of the given reference."""
    yield subject.compared("context", case, AttentionFunction.of)


def it_equals_the_reference_beyond_a_tile(
    subject, case: AttentionCase
) -> Comparisons:
    """Past 32, 64 and 128 queries, keys or features, as at the borders of
    a tile, the output is that of the given reference."""
    yield subject.compared("context", case, AttentionFunction.of)


def its_causal_form_equals_that_of_the_reference(
    subject, case: AttentionCase
) -> Comparisons:
    """Both causal forms have the same output, for as many queries as
    keys."""
    yield subject.compared("causal context", causal(case), causally)


def causally(function: AttentionFunction, case: AttentionCase):
    return function.causally(*case.qkv)


PROPERTIES = (
    Property(equals_the_given_reference),
    Property(
        it_equals_the_reference_beyond_a_tile,
        inputs=lambda subject: beyond_a_tile(subject.limits),
    ),
    Property(its_causal_form_equals_that_of_the_reference, ("causal",)),
)


# --- the subject ---------------------------------------------------------


class BesideAReference:
    """A function under judgement, and the one that counts as right."""

    when_random = "the output is random, as with dropout"
    is_meant = True

    def __init__(
        self, candidate: AttentionFunction, reference: AttentionFunction
    ):
        """Raises NotJudged where no input can be put to both."""
        self.candidate, self.reference = candidate, reference
        self.host = candidate.host  # whose calls make a failure's script
        self.name, self.kind = candidate.name, kind_beside(reference.name)
        self.mask_is_declared = candidate.mask_is_declared
        self.limits = common(candidate.limits, reference.limits)
        self.answered, self.unanswered = 0, []
        self.scales: dict[tuple, float] = {}

    @property
    def both_have_a_causal_form(self) -> bool:
        both = self.candidate, self.reference
        return all(each.caller.calling.roles.causal for each in both)

    # --- comparisons -----------------------------------------------------

    def compared(
        self, what: str, case: AttentionCase, call: Callable
    ) -> Comparison:
        """What a call of either returns. Raises what a call raises."""
        if self.limits.narrow:
            case = in_16_bits(case, self.limits.narrow)
        expected = self.expected(call, case)
        got = call(self.candidate, case)
        return same(what, got, expected, self.bound(case))

    def expected(self, call: Callable, case: AttentionCase) -> np.ndarray:
        """What the reference returns. Raises NotAsked if that is none."""
        try:
            output = call(self.reference, case)
        except (Broken, Raised) as trouble:
            self.unanswered.append(f"it {trouble}")
            raise NotAsked(str(trouble)) from trouble
        if not np.isfinite(output).all():
            self.unanswered.append("it returned NaN or infinity")
            raise NotAsked("the reference returned NaN or infinity")
        self.answered += 1
        return output

    def bound(self, case: AttentionCase) -> np.ndarray:
        """How far two right outputs may be apart: twice the error of the
        exact step, for scores as large as those of the reference."""
        factor = self.factor(case.query.shape[-1], case.query.dtype)
        query = (case.query * factor).astype(case.query.dtype)
        return 2 * steps(self, replace(case, query=query))["context"].error

    def rounding(self, dtype: np.dtype) -> Rounding:
        """How both may round in a precision."""
        narrow = IN_16_BITS.get(self.limits.narrow)
        return narrow or Rounding.of(dtype)

    def factor(self, d_head: int, dtype: np.dtype) -> float:
        """By how much its scores exceed q · k / √d: 1 for most."""
        if (d_head, dtype) not in self.scales:
            measured = measured_factor(self.reference, d_head, dtype)
            self.scales[d_head, dtype] = measured
        return self.scales[d_head, dtype]

    # --- as a subject ----------------------------------------------------

    def properties(self) -> Iterator[Property]:
        has_both = self.both_have_a_causal_form
        return (each for each in PROPERTIES if not each.needs or has_both)

    def cases(self) -> SearchStrategy:
        return attention_cases(self.limits)

    def not_asked(self) -> dict[str, str]:
        missing = {"gradients": "only outputs are compared"}
        own = self.candidate.not_asked()
        if "its mask" in own:
            missing["its mask"] = own["its mask"]
        elif self.limits.masks == ("open",):
            takes = self.candidate.mask is not None
            what = "its mask" if takes else "masks"
            missing[what] = (
                "the reference takes none" if takes else "it takes none"
            )
        for name in self.candidate.understood[1:]:
            missing[f"the mask {name}"] = "only one mask is compared"
        if not self.both_have_a_causal_form:
            missing["a causal form"] = "not both have one"
        roles = self.candidate.caller.calling.roles
        missing |= left_at_defaults(roles.left_alone)
        return missing | cache_not_asked(
            roles.cache, None, self.candidate.caller.thing.source
        )

    def remarks(self) -> Iterator[str]:
        """What a reader should know of the reference."""
        if self.unanswered:
            missing = len(self.unanswered)
            yield (
                f"the reference gave no answer to {missing} of "
                f"{missing + self.answered} inputs: {self.unanswered[0]}"
            )
        if self.is_another_attention():
            yield "the reference itself is not softmax(Q Kᵀ / √d) V"
        ours = self.candidate.conventions.plain()
        theirs = self.reference.conventions.plain()
        for name, value in ours.items():
            other = theirs.get(name, value)
            if other != value:
                words = name.replace("_", " ")
                yield f"{words}: {value}; the reference's: {other}"

    def is_another_attention(self) -> bool:
        """Whether the reference differs from the definition itself."""
        for probe in chain(*probes(self.candidate)):
            output = self.right(probe)
            if output is not None and not self.agree(
                output, attention(probe), probe
            ):
                return True
        return False

    # --- for the diagnosis -----------------------------------------------

    def probes(self) -> list[list]:
        return probes(self.candidate)

    def answer(self, probe) -> np.ndarray:
        return self.candidate.answer(probe)

    def right(self, probe) -> np.ndarray | None:
        """What the reference returns; None if it has no answer, or has
        none any more."""
        if probe.causal and self.reference.conventions.causal == "none":
            probe = replace(probe, causal=False, mask=visible(probe))
        try:
            return self.reference.answer(probe)
        except (*NOT_AN_ANSWER, Lost):
            return None

    def changes(self, probe) -> bool:
        return self.candidate.changes(probe)

    def mutants(self, probes: list) -> Iterator:
        return self.candidate.mutants(probes)

    def agree(self, output, expected, probe) -> bool:
        return self.candidate.agree(output, expected, probe)

    def other_cause(self) -> None:
        return None


def in_16_bits(case: AttentionCase, narrow: str) -> AttentionCase:
    """The case with numbers that a type of 16 bits holds exactly."""
    arrays = (rounded_to(array, narrow) for array in case.qkv)
    return AttentionCase(*arrays, case.mask, case.seed)


def rounded_to(array: np.ndarray, narrow: str) -> np.ndarray:
    """float32 numbers, cut to the digits of 16 bits."""
    if narrow == "float16":
        return array.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)


INPUTS = {
    "batch_axes": "batch axes",
    "dtypes": "a precision",
    "masks": "masks",
}


def common(first: Range, second: Range) -> Range:
    """The inputs that both take. Raises NotJudged if there are none."""
    shared = {}
    for name, words in INPUTS.items():
        ours, theirs = getattr(first, name), getattr(second, name)
        shared[name] = tuple(each for each in ours if each in theirs)
        if not shared[name]:
            raise NotJudged(
                f"expected {words} that the reference takes as well, got "
                f"{ours} here and {theirs} there"
            )
    narrow = {first.narrow, second.narrow}
    return Range(
        **shared,
        square=first.square or second.square,
        one_width=first.one_width or second.one_width,
        mask_axes=common_axes(first.mask_axes, second.mask_axes),
        narrow=min(narrow - {""}, default=""),  # bfloat16 before float16
    )


def common_axes(first: str, second: str) -> str:
    """The axes along which a mask may differ for both."""
    if "query, key" in (first, second):
        return "query, key"
    return second if first in ("any", "all axes") else first


def measured_factor(
    reference: AttentionFunction, d_head: int, dtype: np.dtype
) -> float:
    """Its scores, as a multiple of q · k / √d; 1 where that is unclear.

    Of two keys, the first has a score of 0 and the second one of 4, or
    of less where the first would get no weight at all; the weights show
    what the scores are here.
    """
    for score in (4.0, 4.0 / d_head):
        feature = score * sqrt(d_head)
        first, second = weights_of_two(reference, feature, d_head, dtype)
        if first > 0 and isfinite(second) and second > first:
            return log(second / first) / score
    return 1.0


def weights_of_two(
    reference: AttentionFunction, feature: float, d_head: int, dtype
) -> tuple[float, float]:
    """The weights of a key of zeros, and of one along the query."""
    batch = (1,) * reference.limits.batch_axes[-1]
    d_value = d_head if reference.limits.one_width else 1
    query, key = np.zeros((2, *batch, 2, d_head), dtype)
    query[..., 0], key[..., 1, 0] = feature, 1
    mask, weights = np.ones((2, 2), bool), []
    for index in range(2):
        value = np.zeros((*batch, 2, d_value), dtype)
        value[..., index, :] = 1
        case = AttentionCase(query.copy(), key.copy(), value, mask)
        try:
            weights.append(float(reference.of(case)[..., -1, 0].min()))
        except NOT_AN_ANSWER:
            weights.append(-inf)
    return weights[0], weights[1]
