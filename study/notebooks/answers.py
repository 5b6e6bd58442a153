"""Feedback on a reader's answer: right, or what is wrong with it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Real

import numpy as np

from parity_tests.judge import judge
from parity_tests.judge.attention.conventions import NOTHING_DECLARED
from parity_tests.judge.files.judging import hosted, judge_thing
from parity_tests.judge.verdict.loop import Budget
from parity_tests.judge.verdict.report import (
    HOLDS,
    NOT_JUDGED,
    Finding,
    Report,
)

CLOSE = 1e-9  # for a fraction that was answered in decimals
RIGHT = "✓ Right."
EXAMPLES = 12  # inputs for each property; `twice check` takes more
SHOWN = 2  # of the failures
LONGEST = 200  # characters of an input that is shown


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and a sentence about it."""

    right: bool
    text: str


def is_missing(answer) -> bool:
    """Whether nothing was answered yet: None, or an empty body."""

    def empty(): ...

    code = getattr(answer, "__code__", None)
    return answer is None or (
        code is not None and code.co_code == empty.__code__.co_code
    )


def judged(
    answer, right, mistakes: Iterable[tuple[object, str]] = ()
) -> Verdict:
    """Compare an answer with the right one, and with common mistakes."""
    if same(answer, right):
        return Verdict(True, RIGHT)
    for wrong, sentence in mistakes:
        if same(answer, wrong):
            return Verdict(False, f"✗ Not quite. {sentence}")
    if not fits(answer, right):
        return Verdict(False, f"✗ Expected {kind(right)}, got {answer!r}.")
    return Verdict(False, "✗ Not yet: work it out again, step by step.")


def same(answer, right) -> bool:
    """Whether two answers mean the same."""
    if not fits(answer, right):
        return False
    if isinstance(right, str):
        return answer == right
    if isinstance(right, list | tuple):
        return len(answer) == len(right) and all(map(same, answer, right))
    return abs(float(answer) - float(right)) <= CLOSE * max(
        1, abs(float(right))
    )


def fits(answer, right) -> bool:
    """Whether an answer has the type that was asked for."""
    if isinstance(right, str):
        return isinstance(answer, str)
    if isinstance(right, list | tuple):
        is_row = isinstance(answer, np.ndarray) and answer.ndim
        return isinstance(answer, list | tuple) or bool(is_row)
    return isinstance(answer, Real)


def kind(right) -> str:
    """The type that was asked for, in words."""
    if isinstance(right, str):
        return "a string"
    if isinstance(right, list | tuple):
        return f"a list of {len(right)}"
    return "a number"


def judged_step(function: Callable, name: str) -> Verdict:
    """Judge a function for the step `name`, as `twice check` does."""
    if not callable(function):
        return Verdict(False, f"✗ Expected a function, got {function!r}.")
    return of_report(report_on(function, name))


def report_on(function: Callable, name: str) -> Report:
    """The judge's report on a function for a step or for attention.

    Nobody says that it is plain attention, so it may be a variant of it.
    """
    host, thing = hosted(function, None)
    budget = Budget(EXAMPLES)
    return judge_thing(host, thing, name, NOTHING_DECLARED, budget)


def judged_attention(function: Callable) -> Verdict:
    """Judge a function of query, key and value, as `twice check` does."""
    if not callable(function):
        return Verdict(False, f"✗ Expected a function, got {function!r}.")
    return of_report(judge(function, examples=EXAMPLES))


def of_report(report: Report) -> Verdict:
    """What holds; or what fails, the cause, and an input that shows it."""
    held, failed = len(report.of(HOLDS)), len(report.failed)
    if not failed:
        return of_no_failure(report, held)
    lines = [f"✗ {held} of {held + failed} properties hold."]
    if report.cause:
        lines.append(f"Likely cause: {report.cause}.")
    lines += map(of_finding, report.failed[:SHOWN])
    if failed > SHOWN:
        lines.append(f"\nAnd {failed - SHOWN} more fail.")
    return Verdict(False, "\n".join(lines))


def of_no_failure(report: Report, held: int) -> Verdict:
    """What holds; or why that is not all."""
    if report.verdict == HOLDS:
        return Verdict(
            True,
            f"{RIGHT} All {held} properties that the judge tested hold.",
        )
    reasons = [
        report.trouble,
        *(f.reason for f in report.findings if f.verdict != NOT_JUDGED),
        *report.not_asked.values(),
        "no input could be put to it",
    ]
    why = next(filter(None, reasons))
    return Verdict(False, f"✗ It could not be judged: {joined(why)}.")


def of_finding(finding: Finding) -> str:
    """A claim that fails, what the function did instead, and where."""
    failure = finding.failure
    comparison, case = failure.comparison, joined(str(failure.case))
    trouble = joined(failure.trouble)
    if comparison is not None:
        at = comparison.at
        got, expected = (
            np.asarray(side)[at]
            for side in (comparison.ours, comparison.theirs)
        )
        trouble = f"at {[*at]}, got {got:.6g}, expected {expected:.6g}"
    return (
        f"\n- Fails: {joined(finding.claim)}\n\n"
        f"  With `{shortened(case)}` {trouble}."
    )


def joined(text: str) -> str:
    return " ".join(text.split())


def shortened(text: str) -> str:
    """A long input, cut off: its beginning tells the most."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
