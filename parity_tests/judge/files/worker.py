"""The worker process, in which a submitted file is run and judged.

    python -m parity_tests.judge.files.worker '{"path": …, "answers": …}'

Its events go into the file `answers`, a line of JSON for each, so that
they outlive the process if it is killed. What the submission prints is
kept out of it.
"""

import json
import os
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from math import inf
from pathlib import Path

import numpy as np

from parity_tests.judge.attention.verdict import Failure, Report, judge
from parity_tests.judge.classes.functions import as_class
from parity_tests.judge.classes.properties import ClassCase
from parity_tests.judge.classes.verdict import judge_class
from parity_tests.judge.steps.verdict import BACKWARD, judge_step, twin_of
from parity_tests.judge.subject.conventions import Declared
from parity_tests.judge.subject.signature import as_step, with_line
from parity_tests.twins.gradients import backward

from .submission import ATTENTION, Candidate, candidates, own_things, read

GIGABYTE = 2**30
DECLARED = ("array", "mask", "alignment", "fully_masked_row")


def main() -> None:
    request = json.loads(sys.argv[1])
    with open(request["answers"], "a", encoding="utf-8") as answers:

        def tell(**event):
            print(json.dumps(event), file=answers, flush=True)

        printed = quieted()
        limit_memory(request["memory"])
        try:
            judge_file(request, tell)
        except ValueError as error:
            tell(event="trouble", text=str(error))
        except Exception:  # the judge's own, as others are caught before
            tell(event="fault", text=traceback.format_exc())
        tell(event="end", printed=os.fstat(printed).st_size)


def quieted() -> int:
    """Send stdout and stderr into a hidden file; return its descriptor."""
    with tempfile.TemporaryFile() as file:
        for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
            stream.flush()
            os.dup2(file.fileno(), descriptor)
        return os.dup(file.fileno())


def limit_memory(gigabytes: float) -> None:
    """Allow so much beyond what is in use, where a limit can be set."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    used = pages * resource.getpagesize()
    most = int(used + gigabytes * GIGABYTE)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def judge_file(request: dict, tell) -> None:
    """Run the file, then judge everything in it that can be judged."""
    tell(event="doing", what="running the file")
    module = read(Path(request["path"]))
    for text in module.troubles:
        tell(event="note", text=f"a cell {text}")
    declared = Declared(*(request[name] for name in DECLARED))
    deadline = time.monotonic() + request["seconds"]
    budget = request["examples"], request["seed"], deadline
    judgeable = candidates(module, request["role"])
    others = {*own_things(module)} - {each.name for each in judgeable}
    if others:
        names = ", ".join(sorted(others))
        tell(event="note", text=f"not judged: {names}")
    for candidate in judgeable:
        tell(event="doing", what=f"judging {candidate.name}")
        try:
            report = judge_candidate(candidate, declared, *budget)
        except Exception as error:  # one must not end the others
            known = isinstance(error, ValueError)
            why = str(error) if known else f"the judge failed: {error!r}"
            tell(event="unjudged", name=candidate.name, text=why)
            continue
        tell(event="report", **as_plain(report))


def judge_candidate(
    candidate: Candidate,
    declared: Declared,
    examples: int,
    seed: int,
    deadline: float = inf,
) -> Report:
    """Judge by role: a layer with weights, attention, or another step."""
    name, role = candidate.name, candidate.role
    budget = examples, seed, deadline
    if candidate.has_weights:
        kind = as_class(candidate.thing, declared.arrays)
        return judge_class(kind, role, *budget)
    function = with_line(candidate.thing)
    if role == ATTENTION:
        return judge(function, name, declared, *budget)
    reference = twin_of(role).reference
    if role.endswith(BACKWARD):
        reference = backward(twin_of(role))
    step = as_step(function, reference, declared.arrays)
    return judge_step(step, name, role, examples, seed)


def as_plain(report: Report) -> dict:
    """A report as plain values, for JSON."""
    plain = {
        "name": report.name,
        "kind": report.kind,
        "verdict": "holds" if report.holds else "fails",
        "cause": report.cause,
        "trouble": report.trouble,
        "conventions": conventions_of(report),
        "findings": [],
    }
    for finding in report.findings:
        fields = vars(finding) | {"failure": None}
        if finding.failure:
            fields["failure"] = failure_of(finding.failure)
        plain["findings"].append(fields)
    return plain


def conventions_of(report: Report) -> dict:
    """The conventions detected, without those that were not tested."""
    if report.conventions is None:
        return {}
    detected = asdict(report.conventions)
    limits = detected.pop("limits")
    detected["batch_axes"] = limits["batch_axes"]
    detected["dtypes"] = limits["dtypes"]
    detected["as_many_queries_as_keys"] = limits["square"]
    detected["values_as_wide_as_keys"] = limits["one_width"]
    return {n: v for n, v in detected.items() if v != "not tested"}


def failure_of(failure: Failure) -> dict:
    """The smallest failing input as Python, and how it fails."""
    comparison = failure.comparison
    shown = {"inputs": as_python(failure.case), "text": failure.trouble}
    if comparison is not None:
        got, expected = (
            np.asarray(side)[comparison.at] if comparison.at else side
            for side in (comparison.ours, comparison.theirs)
        )
        shown |= {
            "what": comparison.path,
            "at": list(comparison.at),
            "got": plain_number(got),
            "expected": plain_number(expected),
            "bound": comparison.bound_there,
        }
    return shown


def plain_number(value):
    """A number that JSON has; NaN and infinities as text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if np.isfinite(number) else str(number)


def as_python(case) -> str:
    """An input as lines that can be pasted into Python."""
    if isinstance(case, ClassCase):
        return (
            f"{assigned('x', case.x)}\n"
            "import torch\n"
            "from parity_tests.judge.classes.student_class "
            "import build_module, output_of\n"
            "from parity_tests.judge.classes.functions import as_class\n"
            "kind = as_class(YOURS)  # a class or a function\n"
            f"dtype = torch.{case.x.dtype.name}\n"
            f"module = build_module(kind, {case.seed}, dtype)\n"
            "output_of(module, x)"
        )
    arrays = getattr(case, "arrays", None)
    if arrays is None:
        return str(case)
    return "\n".join(assigned(*pair) for pair in arrays.items())


def assigned(name: str, array: np.ndarray) -> str:
    """`name = np.array(…)`, every digit of it."""
    with np.printoptions(
        threshold=sys.maxsize, floatmode="unique", linewidth=88
    ):
        text = np.array2string(
            array, separator=", ", prefix=f"{name} = np.array("
        )
    text = text.replace("nan", "np.nan").replace("inf", "np.inf")
    return f"{name} = np.array({text}, dtype={array.dtype.name!r})"


if __name__ == "__main__":
    main()
