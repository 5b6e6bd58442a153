"""One file, judged: its worker beside this process, and what came of it."""

import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

REFERENCE = "it calls the reference, with which it would be compared"
IN_TIME = 0.8  # the share of the time after which no input is begun
LOADING = 0.5  # the share of the time for running the file
STARTS = 4  # processes for one file, where things in it end them
VERDICTS = ("rejected", "not judged", "holds where asked", "holds")


@dataclass(frozen=True)
class Request:
    """What every file is asked, and what it may use."""

    role: str | None = None
    arrays: str | None = None
    mask: str | None = None
    alignment: str | None = None
    fully_masked_row: str | None = None
    beside: dict = field(default_factory=dict)  # fields of a `Variant`
    examples: int = 25
    seed: int = 0
    seconds: float = 60
    gigabytes: float = 4
    reference: str = ""  # FILE:FUNCTION, in place of the definition
    dtypes: tuple[str, ...] = ()
    profile: str = ""  # where a kernel of 16 bits is said to round
    device: str = ""


@dataclass
class JudgedFile:
    """The reports on one file; `trouble` says why there are no more.

    `notes` are of running it, `remarks` facts that a reader should know,
    `others` the names in it that were not looked at.
    """

    path: Path
    reports: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    trouble: str | None = None
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """The worst one in the file."""
        verdicts = [report["verdict"] for report in self.reports]
        if self.trouble or not verdicts:
            verdicts.append("not judged")
        return min(verdicts, key=VERDICTS.index)

    @property
    def is_open(self) -> bool:
        """Whether something was left without a verdict."""
        return (
            bool(self.trouble)
            or not self.reports
            or any(map(is_open, self.reports))
        )


def is_open(report: dict) -> bool:
    """Not judged, or partly so: it raised, or there was no time."""
    verdicts = {finding["verdict"] for finding in report["findings"]}
    return report["verdict"] == "not judged" or bool(
        verdicts & {"raised", "no time"}
    )


def judge_file(path: Path, request: Request) -> JudgedFile:
    """Run the file in its process, and judge what it defines.

    The process is started first, so that it imports what it needs while
    this one imports the judge.
    """
    began = time.monotonic()
    judged = JudgedFile(path)
    try:
        judged.trouble = no_file(path)
        if judged.trouble is None:
            Judging(judged, request).run()
    except Exception as error:  # one file must not end the others
        judged.trouble = own_failure(error)
    judged.seconds = time.monotonic() - began
    return judged


def own_failure(error: Exception) -> str:
    return f"the judge itself failed: {type(error).__name__}: {error}"


def no_file(path: Path) -> str | None:
    """Why there is no file to be run, None if there is one.

    A pipe is not opened, as it would be waited for.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"expected a file, got {path}, which does not exist"
    except (OSError, ValueError) as error:
        return f"expected a file, got {path}: {error}"
    if stat.S_ISREG(mode):
        return None
    what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
    return f"expected a file, got {path}, which is {what}"


class Judging:
    """One file under judgement, in one process after the other if need
    be: what ends its process costs the rest of the file nothing."""

    def __init__(self, judged: JudgedFile, request: Request):
        self.judged, self.request = judged, request
        self.deadline = time.monotonic() + request.seconds
        self.names: list[str] = []  # of all that the file defines
        self.chosen: set[str] = set()  # of what can be judged
        self.done: set[str] = set()
        self.calls_reference = False

    def run(self) -> None:
        """Judge until all is judged, or until too many processes ended."""
        from parity_tests.judge.verdict.protocol import Lost, NotJudged

        try:
            for _ in range(STARTS):
                if self.judge_in_a_process():
                    break
        except (Lost, NotJudged) as error:
            self.judged.trouble = str(error)
        if self.calls_reference:
            self.judged.reports = [
                withheld(report) for report in self.judged.reports
            ]
        self.explain()

    def judge_in_a_process(self) -> bool:
        """Judge what is not done; False if there is more to be judged in
        another process."""
        from parity_tests.judge.files.remote import Limits, Remote

        left = max(self.deadline - time.monotonic(), 1)
        request = self.request
        limits = Limits(left, request.gigabytes, request.device)
        remote = Remote(self.judged.path.absolute(), limits)
        try:
            remote.begin_loading(str(remote.path), LOADING * left)
            return self.judge(remote)
        finally:
            remote.close()
            self.calls_reference |= remote.copies_the_reference
            self.judged.remarks += [
                remark
                for remark in remote.remarks
                if remark not in self.judged.remarks
            ]

    def judge(self, remote) -> bool:
        """Judge what is not done; False if the process ended before."""
        from parity_tests.judge.files.plain import as_plain
        from parity_tests.judge.verdict.protocol import Lost

        try:
            for report in self.reports(remote):
                self.judged.reports.append(as_plain(report))
                self.done.add(report.name)
                if remote.lost:
                    break
        except Lost as error:
            if not remote.target:  # while the file was run
                raise
            name = remote.target
            self.judged.reports.append(not_judged(name, str(error)))
            self.done.add(name)
        return not remote.lost or self.chosen <= self.done

    def reports(self, remote) -> Iterator:
        """The reports on what is not done. Raises NotJudged."""
        # Only now, as it takes a second: the file is being run meanwhile.
        from parity_tests.judge.attention.conventions import Declared
        from parity_tests.judge.files.judging import (
            candidates,
            judge_in_dtypes,
        )
        from parity_tests.judge.half.words import profile_from
        from parity_tests.judge.subject.variants import Variant
        from parity_tests.judge.verdict.loop import Budget
        from parity_tests.judge.verdict.protocol import Lost
        from parity_tests.judge.verdict.report import Report

        request = self.request
        answer = readable(remote.loaded())
        self.judged.notes = answer["notes"]
        self.names = [thing.name for thing in answer["things"]]
        chosen = candidates(answer["things"], request.role)
        self.chosen = {thing.name for thing, _ in chosen}
        waiting = [pair for pair in chosen if pair[0].name not in self.done]
        declared = Declared(
            request.arrays,
            request.mask,
            request.alignment,
            request.fully_masked_row,
            is_meant=request.role is not None or bool(request.beside),
            variant=Variant(**request.beside) if request.beside else None,
            profile=profile_from(request.profile)
            if request.profile
            else None,
            device=request.device,
        )
        left = self.deadline - time.monotonic()
        budget = Budget(
            request.examples,
            request.seed,
            deadline=time.monotonic() + IN_TIME * left,
        )
        if request.reference:
            yield from self.beside(remote, waiting, declared, budget)
            return
        for thing, role in waiting:
            try:
                yield from judge_in_dtypes(
                    remote, thing, role, declared, budget, request.dtypes
                )
            except Lost:
                raise
            except Exception as error:  # what else is there is judged
                yield Report(thing.name, role, trouble=own_failure(error))

    def beside(self, remote, waiting: list, declared, budget) -> Iterator:
        """The reports on functions that are compared with another one,
        which is run in a process of its own."""
        from parity_tests.judge.files.comparing import (
            compare_with,
            named_reference,
            thing_called,
        )
        from parity_tests.judge.files.remote import Remote
        from parity_tests.judge.verdict.protocol import Lost, NotJudged

        path, name = named_reference(self.request.reference)
        with Remote(path.absolute(), remote.limits) as other:
            seconds = LOADING * remote.limits.seconds
            try:
                answer = readable(other.load(str(other.path), seconds))
            except (Lost, NotJudged) as error:
                raise NotJudged(f"the reference: {error}") from error
            reference = thing_called(name, answer["things"], path)
            for thing, _ in waiting:
                yield compare_with(
                    remote, thing, other, reference, declared, budget
                )

    def explain(self) -> None:
        """Say what was not looked at, and what would let it be judged."""
        from parity_tests.judge.candidate.statements import UNDER_THE_GUARD

        judged = self.judged
        reported = {report["name"] for report in judged.reports}
        judged.others = [n for n in self.names if n not in reported]
        if not judged.reports and not judged.trouble:
            names = ", ".join(self.names) or "nothing"
            judged.trouble = (
                "expected a function or a class of attention, got "
                f"{names}; say what it is with --as"
            )
        for report in judged.reports:
            report["trouble"] = with_advice(report["trouble"], judged.notes)
            for finding in report["findings"]:
                finding["trouble"] = with_advice(
                    finding["trouble"], judged.notes
                )
        judged.trouble = with_advice(judged.trouble, judged.notes)
        # Where a verdict lacks what is set there, its trouble says so now.
        judged.notes = [
            note
            for note in judged.notes
            if not note.startswith(UNDER_THE_GUARD)
        ]


def readable(answer: dict) -> dict:
    """What a file has. Raises NotJudged if it cannot be run at all."""
    from parity_tests.judge.verdict.protocol import NotJudged

    if "error" in answer:
        error = answer["error"]
        raise NotJudged(error["text"] or error["type"])
    return answer


def withheld(report: dict) -> dict:
    """What calls the reference is not judged, unless it is wrong."""
    if report["verdict"] == "rejected":
        return report
    return not_judged(report["name"], REFERENCE, report["kind"])


def not_judged(name: str, trouble: str, kind: str = "attention") -> dict:
    from parity_tests.judge.files.plain import as_plain
    from parity_tests.judge.verdict.report import Report

    return as_plain(Report(name, kind, trouble=trouble))


# What an error says, and what would let the file be judged.
ADVICE = (
    (r"No module named '([^']+)'", "install {}, and it can be judged"),
    (
        r"FileNotFoundError.*'([^']+)'",
        "put {} where the file looks for it, and it can be judged",
    ),
    (
        r"(?i)^(?!.*expected a device).*\b(cuda|nvidia|mps)\b",
        "let it choose its device, and it can be judged on any",
    ),
    (
        r"(?i)(URLError|ConnectionError|name resolution|gaierror)",
        "let it work without a network, and it can be judged",
    ),
    (r"MemoryError|allocate memory", "--memory allows it more"),
    (
        r"there was no answer within",
        "--timeout gives it more time, if it is only slow",
    ),
)
UNDEFINED = r"NameError: name '([^']+)' is not defined"


def with_advice(trouble: str | None, notes: list[str]) -> str | None:
    """What is in the way of a verdict, and what would help."""
    if not trouble:
        return trouble
    undefined = re.search(UNDEFINED, trouble)
    if undefined:
        return trouble + because_of(undefined[1], notes)
    for pattern, advice in ADVICE:
        match = re.search(pattern, trouble)
        if match:
            name = match[1] if match.lastindex else ""
            return f"{trouble}; {advice.format(name)}"
    return trouble


def because_of(name: str, notes: list[str]) -> str:
    """Why a name is nowhere defined: the statement that did not run."""
    for note in notes:
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", note):
            return f"; {note}"
    return f"; nothing at the top of the file sets {name}"
