"""Plain: a report as values for JSON, and for what prints it."""

import numpy as np

from parity_tests.judge.verdict.example import written
from parity_tests.judge.verdict.report import Failure, Finding, Report

LONGEST = 2000  # characters of a text


def as_plain(report: Report) -> dict:
    """A report as dicts, lists, text and numbers."""
    return {
        "name": report.name,
        "kind": report.kind,
        "verdict": report.verdict,
        "cause": report.cause,
        "known": report.known,
        "trouble": report.trouble or report.doubt,
        "not_asked": dict(report.not_asked),
        "remarks": list(report.remarks),
        "conventions": {
            name: plain_value(value)
            for name, value in report.conventions.items()
        },
        "findings": [finding_of(each) for each in report.findings],
    }


def finding_of(finding: Finding) -> dict:
    failure = finding.failure and failure_of(finding.failure)
    share = plain_number(finding.share)  # infinite, if nothing is allowed
    return vars(finding) | {"failure": failure, "share": share}


def failure_of(failure: Failure) -> dict:
    """How it fails; the input as Python, and as a script where there is
    one."""
    plain = {
        "text": failure.trouble[:LONGEST],
        "inputs": as_python(failure.case),
        "script": failure.script,
    }
    comparison = failure.comparison
    if comparison is not None:
        got, expected = (
            np.asarray(side)[comparison.at] if comparison.at else side
            for side in (comparison.ours, comparison.theirs)
        )
        plain |= {
            "what": comparison.path,
            "at": list(map(int, comparison.at)),
            "got": plain_number(got),
            "expected": plain_number(expected),
            "bound": plain_number(comparison.bound_there),
        }
    return plain


def plain_value(value):
    """A convention: a flag, a text, or a list of them."""
    if isinstance(value, bool):
        return value
    if isinstance(value, list | tuple):
        return [plain_value(each) for each in value]
    return value if isinstance(value, int) else str(value)


def plain_number(value):
    """A number that JSON has; NaN and infinities as text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)[:LONGEST]
    return number if np.isfinite(number) else str(number)


def as_python(case) -> str:
    """An input as lines that can be pasted into Python."""
    arrays = getattr(case, "arrays", None)
    if not isinstance(arrays, dict):
        return str(case)[:LONGEST]
    lines = [
        array_of(name, array)
        for name, array in arrays.items()
        if isinstance(array, np.ndarray)
    ]
    return "\n".join(lines)


def array_of(name: str, array: np.ndarray) -> str:
    """`name = np.array(…)`; a large one by its shape alone."""
    ordered = np.ascontiguousarray(array)
    line = written(name, ordered.reshape(array.shape), "numpy", "")
    return line or f"# {name}: {array.dtype} of shape {array.shape}"
