"""The loop of a verdict: each property of a subject, on many inputs.

The smallest failing input is kept, whatever Hypothesis makes of it last,
so that a subject with random output gets a report like any other.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy

from parity_tests.twins.comparing import Tally

from .diagnosis import REMEMBERS, causes_of, what_is_known
from .doubt import doubt_about
from .example import with_example
from .property import Property
from .protocol import Broken, Lost, NotAsked, Raised, Subject, TimedOut
from .report import (
    FAILS,
    HOLDS,
    NO_TIME,
    NOT_JUDGED,
    RAISED,
    Failure,
    Finding,
    Report,
)

EXAMPLES = 25
SHRUNK = 3  # failures for which a smaller input is sought
SHRINKING = 150  # inputs tried to find a smaller one that fails, too


@dataclass(frozen=True)
class Budget:
    """Inputs for each property, their seed, for how many failures a
    smaller input is sought, and until when an input is begun."""

    examples: int = EXAMPLES
    seed: int = 0
    shrunk: int = SHRUNK
    deadline: float = inf


class Enough(BaseException):
    """Ends the search for a smaller input; no `except` catches it."""


def judge_subject(subject: Subject, budget: Budget = Budget()) -> Report:
    """Ask everything that the subject can be asked about.

    What was found before its process ended counts; the likely cause is
    sought if a property fails.
    """
    findings, trouble = [], None
    try:
        for finding in judgements(subject, budget):
            findings.append(finding)
    except Lost as error:
        trouble = str(error)
    report = Report(
        subject.name,
        subject.kind,
        tuple(findings),
        trouble=trouble,
        not_asked=subject.not_asked(),
    )
    return explained(subject, report) if report.failed else report


def explained(subject: Subject, report: Report) -> Report:
    """The report with the cause of its failures, or with what is known of
    them, and whether they prove a mistake."""
    causes: set[str] = set()
    if report.trouble is None:
        with suppress(Lost, Raised):
            report = with_example(subject, report)
            causes = causes_of(subject)
    names = {finding.name for finding in report.failed}
    if not causes and names == {"answers_do_not_depend_on_calls_before"}:
        causes = {REMEMBERS}
    if len(causes) == 1:
        return replace(report, cause=causes.pop())
    if causes:
        known = f"one of these: {'; '.join(sorted(causes))}"
        return replace(report, known=known)
    doubt = None if report.trouble else doubt_about(subject)
    return replace(report, known=what_is_known(report), doubt=doubt)


def judgements(
    subject: Subject, budget: Budget = Budget()
) -> Iterator[Finding]:
    """Judge each property, on the same drawn inputs, while there is
    time."""
    failed, drawn = 0, drawn_inputs(subject.cases(), budget)
    for each in subject.properties():
        finding = judgement(
            each, subject, budget, drawn, shrink=failed < budget.shrunk
        )
        failed += finding.verdict == FAILS
        yield finding


def judgement(
    judged: Property,
    subject: Subject,
    budget: Budget = Budget(),
    drawn: list | None = None,
    shrink: bool = True,
) -> Finding:
    """Judge one property: on its own inputs, or on drawn ones; where it
    fails on these, a smaller input is sought."""
    run = PropertyRun(judged, subject)
    inputs = judged.inputs(subject) if judged.inputs else drawn
    if inputs is None:
        inputs = drawn_inputs(subject.cases(), budget)
    try:
        for case in inputs:
            if time.monotonic() > budget.deadline:
                return Finding(judged.name, judged.claim, NO_TIME)
            run.on(case)
    except AssertionError:
        if shrink and judged.inputs is None:
            seek_smaller(run, subject.cases(), budget)
    except TimedOut:
        if run.smallest is None:
            raise
    return run.finding()


def drawn_inputs(cases: SearchStrategy, budget: Budget) -> list:
    """The inputs that Hypothesis draws, with this seed."""
    drawn: list = []
    with_hypothesis(drawn.append, cases, budget, Phase.generate)
    return drawn


def seek_smaller(run, cases, budget: Budget) -> None:
    """Let Hypothesis draw the same inputs again, and shrink."""
    try:
        phases = Phase.generate, Phase.shrink
        with_hypothesis(run.on, cases, budget, *phases)
    except (Enough, AssertionError, TimedOut, HypothesisException):
        pass  # what was found is kept in the run


def with_hypothesis(function, cases, budget: Budget, *phases) -> None:
    """Call a function on drawn inputs, in these phases."""

    @hypothesis.seed(budget.seed)
    @settings(
        max_examples=budget.examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
        phases=phases,
    )
    @given(cases)
    def on_any_input(case):
        function(case)

    on_any_input()


class PropertyRun:
    """One property on many inputs: the tally, and the smallest failure."""

    def __init__(self, judged: Property, subject: Subject):
        self.judged, self.subject = judged, subject
        self.tally, self.examples, self.tried = Tally(), 0, 0
        self.smallest: Failure | None = None
        self.raised: Raised | None = None

    def on(self, case) -> None:
        """Raises AssertionError where the property does not hold."""
        if self.smallest is not None:
            self.tried += 1
            if self.tried > SHRINKING:
                raise Enough
        self.examples += self.smallest is None
        failure = self.failure(case)
        if failure is None:
            return
        known = self.smallest
        if known is None or case.size() <= known.case.size():
            self.smallest = failure
        raise AssertionError(failure.trouble)

    def failure(self, case) -> Failure | None:
        asked = getattr(self.subject, "asked", self.subject)
        try:
            for comparison in self.judged.check(asked, case):
                if self.smallest is None:
                    self.tally.add(comparison)
                if not comparison.holds:
                    return Failure(case, comparison, str(comparison))
        except Raised as error:
            self.raised = self.raised or error
        except NotAsked:
            return None
        except Broken as error:
            return Failure(case, None, f"it {error}")
        except (ValueError, IndexError, AssertionError) as error:
            return Failure(case, None, f"its output does not fit: {error}")
        return None

    def finding(self) -> Finding:
        verdict, trouble = HOLDS, ""
        if self.smallest is not None:
            verdict = FAILS
        elif self.raised is not None:
            verdict, trouble = RAISED, str(self.raised)
        elif not self.tally.compared:
            verdict = NOT_JUDGED
        worst = self.tally.worst
        return Finding(
            self.judged.name,
            self.judged.claim,
            verdict,
            self.examples,
            self.tally.compared,
            int(self.tally.wide),
            float(worst.share) if worst else 0.0,
            self.smallest,
            trouble,
        )
