"""The process in which a stranger's file is run and judged.

    python -m parity_tests.judge.files.worker '{"path": …, "answers": …}'

What comes of it goes into the file `answers`, a line of JSON for each
event, so that what is known stays known when the process is ended. What
the stranger's code prints goes elsewhere.
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
from parity_tests.judge.classes.properties import HomeworkCase
from parity_tests.judge.classes.verdict import judge_class
from parity_tests.judge.steps.verdict import BACKWARD, judge_step, twin_of
from parity_tests.judge.subject.conventions import Told
from parity_tests.judge.subject.signature import as_step, with_line
from parity_tests.twins.gradients import backward

from .submission import ATTENTION, Candidate, candidates, own_things, read

GIGABYTE = 2**30
TOLD = ("array", "mask", "alignment", "blocked_row")


def main() -> None:
    asked = json.loads(sys.argv[1])
    with open(asked["answers"], "a", encoding="utf-8") as answers:

        def tell(**event):
            print(json.dumps(event), file=answers, flush=True)

        printed = quieted()
        limit_memory(asked["memory"])
        try:
            judge_file(asked, tell)
        except ValueError as error:
            tell(event="trouble", text=str(error))
        except Exception:  # the judge's own, or it would have been caught
            tell(event="fault", text=traceback.format_exc())
        tell(event="end", printed=os.fstat(printed).st_size)


def quieted() -> int:
    """Both outputs go into a file that no one sees; which one it is."""
    with tempfile.TemporaryFile() as file:
        for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
            stream.flush()
            os.dup2(file.fileno(), number)
        return os.dup(file.fileno())


def limit_memory(gigabytes: float) -> None:
    """No more than that beside what is in use, where a limit can be set."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    used = pages * resource.getpagesize()
    most = int(used + gigabytes * GIGABYTE)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def judge_file(asked: dict, tell) -> None:
    """Run the file, then judge all in it that can be judged."""
    tell(event="doing", what="running the file")
    module = read(Path(asked["path"]))
    for text in module.troubles:
        tell(event="note", text=f"a cell {text}")
    told = Told(*(asked[name] for name in TOLD))
    deadline = time.monotonic() + asked["seconds"]
    how = asked["examples"], asked["seed"], deadline
    found = candidates(module, asked["role"])
    others = {*own_things(module)} - {one.name for one in found}
    if others:
        names = ", ".join(sorted(others))
        tell(event="note", text=f"not looked at: {names}")
    for one in found:
        tell(event="doing", what=f"judging {one.name}")
        try:
            report = judged(one, told, *how)
        except Exception as error:  # one thing must not end the others
            known = isinstance(error, ValueError)
            why = str(error) if known else f"the judge failed: {error!r}"
            tell(event="unjudged", name=one.name, text=why)
            continue
        tell(event="report", **as_plain(report))


def judged(
    one: Candidate,
    told: Told,
    examples: int,
    chance: int,
    deadline: float = inf,
) -> Report:
    """By what it is: homework, an attention, or another step."""
    how = examples, chance, deadline
    if one.is_homework:
        kind = as_class(one.thing, told.arrays)
        return judge_class(kind, one.role, *how)
    function = with_line(one.thing)
    if one.role == ATTENTION:
        return judge(function, one.name, told, *how)
    reference = twin_of(one.role).reference
    if one.role.endswith(BACKWARD):
        reference = backward(twin_of(one.role))
    step = as_step(function, reference, told.arrays)
    return judge_step(step, one.name, one.role, examples, chance)


def as_plain(report: Report) -> dict:
    """A report as JSON has it."""
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
    """What was found out, without what was not asked."""
    if report.conventions is None:
        return {}
    found = asdict(report.conventions)
    limits = found.pop("limits")
    found["batch_axes"] = limits["batch_axes"]
    found["dtypes"] = limits["dtypes"]
    found["as_many_queries_as_keys"] = limits["square"]
    found["values_as_wide_as_keys"] = limits["one_width"]
    return {n: value for n, value in found.items() if value != "not asked"}


def failure_of(failure: Failure) -> dict:
    """The smallest failing input as Python, and what came of it."""
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
    """A number that JSON knows; NaN and infinities as text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if np.isfinite(number) else str(number)


def as_python(case) -> str:
    """An input as lines that can be pasted into Python."""
    if isinstance(case, HomeworkCase):
        return (
            f"{assigned('x', case.x)}\n"
            "import torch\n"
            "from parity_tests.judge.classes.student_class "
            "import asked_of, made\n"
            "from parity_tests.judge.classes.functions import as_class\n"
            "kind = as_class(YOURS)  # a class or a function\n"
            f"module = made(kind, {case.seed}, torch.{case.x.dtype.name})\n"
            "asked_of(module, x)"
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
