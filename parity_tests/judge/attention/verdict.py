"""A verdict on anybody's attention: every property, on many inputs.

    >>> from parity_tests.judge.attention.verdict import judge
    >>> report = judge(my_attention)          # doctest: +SKIP
    >>> report.holds, report.cause            # doctest: +SKIP

The smallest failing input is kept, whatever Hypothesis makes of it last,
so that a function that answers by chance gets a report like any other.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import inf

from hypothesis import HealthCheck, Phase, given, seed, settings

from parity_tests.judge.subject.cases import attention_cases
from parity_tests.judge.subject.conventions import (
    NOTHING_TOLD,
    Told,
    subject_of,
)
from parity_tests.judge.subject.protocol import Broken, Conventions, Subject
from parity_tests.twins.comparing import Comparison, Tally

from .all_properties import PROPERTIES, offered
from .diagnosis import cause_of
from .property import Property

EXAMPLES = 25
SHRUNK = 3  # failures for which a smaller input is looked for
SHRINKING = 150  # inputs tried to find a smaller one that fails, too


@dataclass(frozen=True)
class Failure:
    """The smallest input with which a property does not hold."""

    case: object
    comparison: Comparison | None
    trouble: str


@dataclass(frozen=True)
class Finding:
    """What came of one property.

    `verdict` is "holds", "fails", "not judged" where a subject does not
    offer what it takes, or "no time". `unchecked` of the
    `compared` values had a bound too wide to check anything; `share` is
    the worst error as a share of its bound.
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
    """All that is known of one implementation.

    `cause` is the likely one, None where all holds or it is not known;
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
        asked = verdicts - {"not judged"}
        return asked == {"holds"} and self.trouble is None


class Enough(BaseException):
    """Ends a search for smaller inputs; nobody's `except` catches it."""


def judge(
    function: Callable,
    name: str | None = None,
    told: Told = NOTHING_TOLD,
    examples: int = EXAMPLES,
    chance: int = 0,
    deadline: float = inf,
) -> Report:
    """A function of query, key, value and, perhaps, a mask.

    `told` says what its conventions are, where they need not be found
    out; `chance` is the seed of all inputs. No property is begun after
    `deadline`, in seconds of `time.monotonic`. Raises ValueError for a
    signature that is no attention's.
    """
    name = name or getattr(function, "__name__", "attention")
    try:
        subject = subject_of(function, name, told)
    except Broken as error:
        return Report(name, "attention", trouble=str(error))
    findings = tuple(
        judgements(subject, examples, chance, deadline=deadline)
    )
    report = Report(name, "attention", findings, subject.conventions)
    if report.failed:
        return replace(report, cause=cause_of(subject))
    return report


def judgements(
    subject: Subject,
    examples: int,
    chance: int,
    shrunk: int = SHRUNK,
    deadline: float = inf,
) -> Iterator[Finding]:
    """Every property on as many inputs, in the order of the list."""
    asked = [one for one in PROPERTIES if offered(subject, one)]
    yield from one_by_one(
        asked,
        subject,
        attention_cases(subject.conventions.limits),
        (examples, chance, shrunk, deadline),
    )
    for one in PROPERTIES:
        if one not in asked:
            yield Finding(one.name, one.claim, "not judged")


def one_by_one(
    asked: Iterable[Property],
    subject,
    cases,
    how: tuple[int, int, int, float],
) -> Iterator[Finding]:
    """What comes of each property, while there is time.

    `how` is the number of inputs, their seed, in how many failures a
    smaller input is looked for, and the deadline.
    """
    examples, chance, shrunk, deadline = how
    failed = 0
    for one in asked:
        if time.monotonic() > deadline:
            yield Finding(one.name, one.claim, "no time")
            continue
        check = partial(one.check, subject)
        found = judgement(
            one, check, cases, examples, chance, shrink=failed < shrunk
        )
        failed += found.verdict == "fails"
        yield found


def judgement(
    one: Property,
    check: Callable,
    cases,
    examples: int,
    chance: int,
    shrink: bool = True,
) -> Finding:
    """One property: `check(case)` gives comparisons, on drawn cases."""
    looked = Looked()
    phases = (Phase.generate, Phase.shrink)[: 1 + shrink]

    @seed(chance)
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
        looked.at(case, check)

    try:
        on_any_input()
    except (Enough, Exception):
        if looked.smallest is None:  # not a finding, but a fault of ours
            raise
    finding = Finding(
        one.name,
        one.claim,
        "holds" if looked.smallest is None else "fails",
        looked.examples,
        looked.tally.compared,
        int(looked.tally.wide),
        float(looked.tally.worst.share) if looked.tally.worst else 0.0,
        looked.smallest,
    )
    if finding.verdict == "holds" and not finding.compared:
        return replace(finding, verdict="not judged")
    return finding


class Looked:
    """What was seen so far, and the smallest input that failed."""

    def __init__(self):
        self.tally, self.examples = Tally(), 0
        self.smallest: Failure | None = None
        self.tried = 0

    def at(self, case, check: Callable) -> None:
        """Raises AssertionError where a property does not hold."""
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
            return Failure(case, None, f"what came does not fit: {error}")
        return None
