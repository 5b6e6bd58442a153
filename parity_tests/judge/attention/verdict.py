"""The verdict on an attention function: every property, on many inputs.

    >>> from parity_tests.judge.attention.verdict import judge
    >>> report = judge(my_attention)          # doctest: +SKIP
    >>> report.holds, report.cause            # doctest: +SKIP

The smallest failing input is kept, whatever Hypothesis makes of it last,
so that a function with random output gets a report like any other.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import inf

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from parity_tests.judge.subject.cases import attention_cases
from parity_tests.judge.subject.conventions import (
    NOTHING_DECLARED,
    Declared,
    subject_of,
)
from parity_tests.judge.subject.protocol import Broken, Conventions, Subject
from parity_tests.twins.comparing import Comparison, Tally

from .all_properties import PROPERTIES, applies
from .diagnosis import cause_of
from .property import Property

EXAMPLES = 25
SHRUNK = 3  # failures for which a smaller input is sought
SHRINKING = 150  # inputs tried to find a smaller one that fails, too


@dataclass(frozen=True)
class Failure:
    """The smallest input for which a property fails, and how it fails."""

    case: object
    comparison: Comparison | None
    trouble: str


@dataclass(frozen=True)
class Finding:
    """The verdict on one property.

    `verdict` is "holds", "fails", "not judged" where the property does
    not apply to the subject, or "no time". `unchecked` of the `compared`
    values had a bound too wide to check anything; `share` is the worst
    error as a share of its bound.
    """

    name: str
    claim: str
    verdict: str
    examples: int = 0
    compared: int = 0
    unchecked: int = 0
    share: float = 0.0
    failure: Failure | None = None


@dataclass(frozen=True)
class Report:
    """The verdict on one implementation.

    `cause` is the likely one, None where all holds or it is unknown;
    `trouble` says why nothing could be judged.
    """

    name: str
    kind: str
    findings: tuple[Finding, ...] = ()
    conventions: Conventions | None = None
    cause: str | None = None
    trouble: str | None = None

    @property
    def failed(self) -> list[Finding]:
        return [f for f in self.findings if f.verdict == "fails"]

    @property
    def holds(self) -> bool:
        """False also where nothing was judged: silence is no proof."""
        verdicts = {finding.verdict for finding in self.findings}
        judged = verdicts - {"not judged"}
        return judged == {"holds"} and self.trouble is None


class Enough(BaseException):
    """Ends the search for a smaller input; no `except` catches it."""


def judge(
    function: Callable,
    name: str | None = None,
    declared: Declared = NOTHING_DECLARED,
    examples: int = EXAMPLES,
    seed: int = 0,
    deadline: float = inf,
) -> Report:
    """Judge a function of query, key, value and, perhaps, a mask.

    `declared` are conventions that need not be detected; `seed` is that
    of all inputs. No property is begun after `deadline`, in seconds of
    `time.monotonic`. Raises ValueError for a signature that is not that
    of attention.
    """
    name = name or getattr(function, "__name__", "attention")
    try:
        subject = subject_of(function, name, declared)
    except Broken as error:
        return Report(name, "attention", trouble=str(error))
    findings = tuple(judgements(subject, examples, seed, deadline=deadline))
    report = Report(name, "attention", findings, subject.conventions)
    if report.failed:
        return replace(report, cause=cause_of(subject))
    return report


def judgements(
    subject: Subject,
    examples: int,
    seed: int,
    shrunk: int = SHRUNK,
    deadline: float = inf,
) -> Iterator[Finding]:
    """Judge every property, in the order of the list."""
    applicable = [p for p in PROPERTIES if applies(subject, p)]
    yield from judge_each(
        applicable,
        subject,
        attention_cases(subject.conventions.limits),
        (examples, seed, shrunk, deadline),
    )
    for inapplicable in PROPERTIES:
        if inapplicable not in applicable:
            name, claim = inapplicable.name, inapplicable.claim
            yield Finding(name, claim, "not judged")


def judge_each(
    properties: Iterable[Property],
    subject,
    cases,
    budget: tuple[int, int, int, float],
) -> Iterator[Finding]:
    """Judge each property, while there is time.

    `budget` is the number of inputs, their seed, for how many failures a
    smaller input is sought, and the deadline.
    """
    examples, seed, shrunk, deadline = budget
    failed = 0
    for each in properties:
        if time.monotonic() > deadline:
            yield Finding(each.name, each.claim, "no time")
            continue
        check = partial(each.check, subject)
        finding = judgement(
            each, check, cases, examples, seed, shrink=failed < shrunk
        )
        failed += finding.verdict == "fails"
        yield finding


def judgement(
    judged: Property,
    check: Callable,
    cases,
    examples: int,
    seed: int,
    shrink: bool = True,
) -> Finding:
    """Judge one property: `check(case)` compares, on drawn cases."""
    run = PropertyRun()
    phases = (Phase.generate, Phase.shrink)[: 1 + shrink]

    @hypothesis.seed(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
        phases=phases,
    )
    @given(cases)
    def on_any_input(case):
        run.on(case, check)

    try:
        on_any_input()
    except (Enough, Exception):
        if run.smallest is None:  # not a finding, but our own fault
            raise
    finding = Finding(
        judged.name,
        judged.claim,
        "holds" if run.smallest is None else "fails",
        run.examples,
        run.tally.compared,
        int(run.tally.wide),
        float(run.tally.worst.share) if run.tally.worst else 0.0,
        run.smallest,
    )
    if finding.verdict == "holds" and not finding.compared:
        return replace(finding, verdict="not judged")
    return finding


class PropertyRun:
    """One property on many inputs: the tally, and the smallest failure."""

    def __init__(self):
        self.tally, self.examples = Tally(), 0
        self.smallest: Failure | None = None
        self.tried = 0

    def on(self, case, check: Callable) -> None:
        """Raises AssertionError where the property does not hold."""
        if self.smallest is not None:
            self.tried += 1
            if self.tried > SHRINKING:
                raise Enough
        self.examples += self.smallest is None
        failure = self.failure(case, check)
        if failure is None:
            return
        known = self.smallest
        if known is None or case.size() <= known.case.size():
            self.smallest = failure
        raise AssertionError(failure.trouble)

    def failure(self, case, check: Callable) -> Failure | None:
        try:
            for comparison in check(case):
                if self.smallest is None:
                    self.tally.add(comparison)
                if not comparison.holds:
                    return Failure(case, comparison, str(comparison))
        except Broken as error:
            return Failure(case, None, f"it {error}")
        except (ValueError, IndexError, AssertionError) as error:
            return Failure(case, None, f"its output does not fit: {error}")
        return None
