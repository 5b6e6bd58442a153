"""The verdict on an attention function in bfloat16 or float16.

A profile that is said and does not hold is told from a wrong formula, and
so is NaN where raw products overflow.
"""

from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec

import numpy as np

from parity_tests.bounds.half_precision import FORMATS
from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.half.words import rounds_more
from parity_tests.judge.subject.cases import AttentionCase
from parity_tests.judge.verdict.diagnosis import causes_of
from parity_tests.judge.verdict.loop import Budget, judge_subject
from parity_tests.judge.verdict.protocol import (
    Broken,
    Lost,
    NotJudged,
    Raised,
)
from parity_tests.judge.verdict.report import Report

from .conventions import Declared
from .half_function import HalfFunction, raw_overflow

COARSE = "it rounds more, or elsewhere, than the profile that fits it best"


def judge_in_half(
    host, thing: Thing, dtype: str, declared: Declared, budget: Budget
) -> Report:
    """Judge a function of query, key and value in one format."""
    expect_format(dtype)
    try:
        subject = HalfFunction(host, thing, dtype, declared)
    except NotJudged as error:
        reason = str(error).partition("; what it takes")[0]
        raise NotJudged(f"in {dtype}, {reason}") from None
    report = judge_subject(subject, budget)
    if report.failed and not report.trouble:
        report = with_cause(subject, report)
    elif subject.claimed and (more := seen_beside(subject)):
        remark = f"no output shows it, but probes see more: {more}"
        report = replace(report, remarks=(*report.remarks, remark))
    if remark := subject.statistics:
        report = replace(report, remarks=(*report.remarks, remark))
    return replace(report, conventions=subject.conventions.plain())


def expect_format(dtype: str) -> None:
    """Raises NotJudged for bfloat16 without what gives it to NumPy."""
    if dtype == "bfloat16" and find_spec("ml_dtypes") is None:
        raise NotJudged(
            "expected ml_dtypes, which gives NumPy bfloat16, got none: "
            'pip install "attention-twice[half]"'
        )


def with_cause(subject: HalfFunction, report: Report) -> Report:
    """The report with what is known of failures in half precision."""
    trouble = report.failed[0].failure.trouble
    if trouble.startswith("it returned "):
        return replace(report, cause=trouble, known=None, doubt=None)
    if cause := cause_of_overflow(report, subject.dtype):
        return replace(report, cause=cause, known=None, doubt=None)
    if subject.claimed and (more := more_than_said(subject, report)):
        return replace(report, cause=more, known=None, doubt=None)
    digits = (report.cause or "").startswith("only about")
    if report.cause and not digits:
        return report
    subject.with_wrong_kernels = False
    with suppress(Lost, Raised):
        causes = causes_of(subject)
        if len(causes) == 1 and not causes.copy().pop().startswith("only"):
            cause = causes.pop()
            return replace(report, cause=cause, known=None, doubt=None)
    return replace(report, cause=None, known=COARSE) if digits else report


def cause_of_overflow(report: Report, dtype: str) -> str | None:
    """That an output is NaN or infinite where products pass the format's
    greatest number, and nothing else is wrong."""
    for finding in report.failed:
        case, compared = finding.failure.case, finding.failure.comparison
        if compared is None or not isinstance(case, AttentionCase):
            return None
        got = np.asarray(compared.ours)[compared.at]
        overflows = raw_overflow(case.query, case.key, dtype).any()
        if np.isfinite(got) or not overflows:
            return None
    greatest = FORMATS[dtype].greatest
    return f"NaN: raw products pass {greatest:,.6g}, where scaled ones fit"


def seen_beside(subject: HalfFunction) -> str:
    """Where the probes see it round, beside where it is said to."""
    subject.found = subject.found or subject.probed()
    more = dict.fromkeys(
        words
        for found in subject.found
        for words in rounds_more(subject.claimed, found)
    )
    return "; ".join(more)


def more_than_said(subject: HalfFunction, report: Report) -> str | None:
    """Where it rounds beside where it is said to, if that explains what
    fails."""
    more = seen_beside(subject)
    if not more:
        return None
    subject.profiles = [*subject.found]
    subject.exact.cache_clear()
    failed = {finding.name: finding.failure for finding in report.failed}
    checks = [p for p in subject.properties() if p.name in failed]
    with suppress(Broken, Lost, Raised, ValueError):
        for each in checks:
            case = failed[each.name].case
            if not all(c.holds for c in each.check(subject, case)):
                return None
        return f"it rounds more than is said: {more}"
    return None
