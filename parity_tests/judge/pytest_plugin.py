"""pytest plugin: `pytest --implementation FILE` judges what is in a file.

Each property of each function and class in the file is a test, and no
other test runs. What the judge needs is imported only then: this module
is loaded by every pytest on a machine where the project is installed.
"""

import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS = 60  # for all of a file
IN_TIME = 0.8  # the share of that after which no input is begun
CALLS_THE_REFERENCE = (
    "it calls the reference, with which it would be compared"
)
NEEDED = ("hypothesis", "mpmath", "torch")  # of the extras
NO_VERDICT = ("raised", "no time")
UNJUDGED = "can_be_judged"  # the test of what cannot be
CollectError = pytest.Collector.CollectError
NOTES, REPORTS = pytest.StashKey[list](), pytest.StashKey[list]()


def pytest_addoption(parser):
    parser.getgroup("attention-twice").addoption(
        "--implementation",
        metavar="FILE",
        help="judge the attention in this file, which is run, and run no "
        "other test",
    )


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config):
    """Before pytest-xdist counts its workers: there are to be none."""
    if config.getoption("implementation") is not None:
        config.option.numprocesses = 0
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session):
    """In place of all other tests, those of the file."""
    config, name = session.config, session.config.option.implementation
    if name is None:
        return None
    path = config.invocation_params.dir / name
    if not path.is_file():
        raise pytest.UsageError(
            f"expected --implementation to be a file, got {name!r}"
        )
    judged = JudgedFile.from_parent(session, path=path)
    session.items = list(session.genitems(judged))
    config.hook.pytest_collection_modifyitems(
        session=session, config=config, items=session.items
    )
    config.hook.pytest_collection_finish(session=session)
    session.testscollected = len(session.items)
    return True


# --- a file, a thing in it, a property of that thing ---------------------


class JudgedFile(pytest.File):
    """The file, which is run and judged when it is collected."""

    def collect(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a run may make them errors
            try:
                notes, reports = judged(self.path)
            except ModuleNotFoundError as error:
                if error.name not in NEEDED:
                    raise
                raise CollectError(
                    f"expected {error.name} to be installed, got none; "
                    'pip install "attention-twice[torch,test]"'
                ) from error
            except ValueError as error:  # nothing in it to be judged
                raise CollectError(str(error)) from error
        self.config.stash[NOTES] = notes
        self.config.stash[REPORTS] = reports
        return [
            JudgedThing.from_parent(self, name=report.name, report=report)
            for report in reports
        ]


class JudgedThing(pytest.Collector):
    """A function or a class, with its report."""

    def __init__(self, *, report, **others):
        super().__init__(**others)
        self.report = report

    def collect(self):
        for finding in self.report.findings:
            if finding.verdict != "not judged":
                yield PropertyTest.from_parent(
                    self, name=finding.name, finding=finding
                )
        if self.report.verdict == "not judged" or self.report.trouble:
            yield PropertyTest.from_parent(self, name=UNJUDGED)


class PropertyFails(Exception):
    """A property that does not hold; the text is what a reader sees."""


class PropertyTest(pytest.Item):
    """A property: passed if it holds, failed if it does not.

    Where there is no verdict, it is an error.
    """

    def __init__(self, *, finding=None, **others):
        super().__init__(**others)
        self.finding = finding

    def setup(self):
        if self.finding is None:
            report = self.parent.report
            trouble = report.trouble or report.doubt
            pytest.fail(trouble or "nothing was compared", pytrace=False)
        if self.finding.verdict in NO_VERDICT:
            pytest.fail(f"not judged: {self.finding.reason}", pytrace=False)

    def runtest(self):
        if self.finding.verdict == "fails":
            raise PropertyFails(
                f"{self.finding.claim}\n\n"
                f"{self.finding.failure.difference}\n"
                f"{explanation(self.parent.report)}"
            )

    def repr_failure(self, excinfo, style=None):
        """What is wrong with the file, and no line of the judge."""
        if isinstance(excinfo.value, PropertyFails):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, None, f"{self.parent.name}: {self.name}"


def explanation(report) -> str:
    """The likely cause, or else what the failures have in common."""
    cause = f"likely cause: {report.cause or 'unknown'}"
    return f"{cause}; {report.known}" if report.known else cause


# --- judging -------------------------------------------------------------


def judged(path: Path) -> tuple[list[str], list]:
    """Notes on how the file was run, and a report on each thing in it.

    Raises CollectError, with the reason, if nothing can be judged.
    """
    from .files.remote import Limits, Remote
    from .verdict.protocol import Lost

    try:
        with Remote(path, Limits(SECONDS)) as host:
            loaded = host.load(str(path), SECONDS / 2)
            if "error" in loaded:
                raise CollectError(loaded["error"]["text"])
            reports = list(reports_on(host, loaded["things"]))
    except Lost as error:
        raise CollectError(str(error)) from error
    notes = [*loaded["notes"], *host.remarks]
    if not reports:
        names = ", ".join(thing.name for thing in loaded["things"])
        what = f"expected an attention in {path.name}, got {names or None}"
        raise CollectError("\n".join([what, *notes]))
    if host.copies_the_reference:
        reports = [withheld(report) for report in reports]
    return notes, reports


def withheld(report):
    """What calls the reference is not judged, unless it is wrong."""
    from .verdict.report import Report

    if report.failed:
        return report
    return Report(report.name, report.kind, trouble=CALLS_THE_REFERENCE)


def reports_on(host, things: list) -> Iterator:
    """A report on each thing, and one on why there are no more."""
    from .attention.conventions import NOTHING_DECLARED
    from .files.judging import judge_candidates
    from .verdict.loop import Budget
    from .verdict.protocol import Lost
    from .verdict.report import Report

    budget = Budget(deadline=time.monotonic() + IN_TIME * SECONDS)
    try:
        yield from judge_candidates(
            host, things, None, NOTHING_DECLARED, budget
        )
    except Lost as error:
        yield Report("what follows", "", trouble=str(error))


# --- what is shown -------------------------------------------------------


def pytest_terminal_summary(terminalreporter, config):
    """The verdicts, and what was not asked."""
    reports = config.stash.get(REPORTS, [])
    if reports:
        terminalreporter.section("what was judged, and what was not asked")
    for note in config.stash.get(NOTES, []):
        terminalreporter.line(note)
    for report in reports:
        terminalreporter.line(f"{report.name}: {report.verdict}")
        for remark in report.remarks:
            terminalreporter.line(f"  {remark}")
        for what, reason in not_asked(report).items():
            terminalreporter.line(f"  not asked: {what} ({reason})")


def not_asked(report) -> dict[str, str]:
    """What was not asked, and why."""
    findings = report.of("not judged")
    return report.not_asked | {each.name: each.reason for each in findings}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Below a failure, what pytest would cut to the length of a line.

    For a property that is the input, in a script if there is one; for a
    failed `assert judge(f)` it is the report.
    """
    test_report = yield
    if call.excinfo is None:
        return test_report
    if isinstance(call.excinfo.value, PropertyFails):
        failure = item.finding.failure
        text = failure.script or failure.input
        test_report.sections.append(("the failing input", text))
    for report in reports_in(call.excinfo):
        test_report.sections.append(("what the judge says", str(report)))
    return test_report


def reports_in(excinfo: pytest.ExceptionInfo) -> list:
    """The reports that do not hold, where an assert has failed.

    The values of an assert are still in the frame, if under no name.
    """
    known = sys.modules.get("parity_tests.judge.verdict.report")
    if known is None or not isinstance(excinfo.value, AssertionError):
        return []
    values = excinfo.traceback[-1].frame.f_locals.values()
    reports = [v for v in values if isinstance(v, known.Report) and not v]
    return list({id(report): report for report in reports}.values())
