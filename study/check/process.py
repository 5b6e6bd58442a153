"""Running the judge: each file in a process of its own, with limits."""

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import cpu_count
from pathlib import Path


@dataclass
class JudgedFile:
    """The reports on one file; `trouble` says why there are no more.

    `began` tells whether anything was being judged by then.
    """

    path: Path
    reports: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unjudged: list[dict] = field(default_factory=list)
    trouble: str | None = None
    printed: int = 0
    began: bool = False

    @property
    def holds(self) -> bool:
        verdicts = [report["verdict"] for report in self.reports]
        return set(verdicts) == {"holds"} and not self.open

    @property
    def fails(self) -> bool:
        verdicts = [report["verdict"] for report in self.reports]
        return "fails" in verdicts or (self.began and bool(self.trouble))

    @property
    def open(self) -> bool:
        """Whether something was left without a verdict."""
        return bool(self.unjudged or self.trouble or not self.reports)


@dataclass(frozen=True)
class Limits:
    """What a file may use: seconds in all, and gigabytes of memory."""

    seconds: float
    gigabytes: float


def judge_files(
    paths: list[Path], request: dict, limits: Limits
) -> list[JudgedFile]:
    """Judge every file, as many at once as there are processors."""
    with ThreadPoolExecutor(cpu_count()) as pool:
        return list(
            pool.map(lambda path: judge_file(path, request, limits), paths)
        )


def judge_file(path: Path, request: dict, limits: Limits) -> JudgedFile:
    """Judge one file; what was reported before it was ended counts."""
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers"
        answers.touch()
        request = request | {
            "path": str(path),
            "answers": str(answers),
            "memory": limits.gigabytes,
        }
        command = [sys.executable, "-m", "parity_tests.judge.files.worker"]
        try:
            done = subprocess.run(
                [*command, json.dumps(request)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=limits.seconds,
            )
        except subprocess.TimeoutExpired:
            ended = f"there was no answer after {limits.seconds:g} seconds"
            stderr = b""
        else:
            ended = f"the process ended with code {done.returncode}"
            stderr = done.stderr
        return read_answers(path, answers, ended, stderr)


def read_answers(
    path: Path, answers: Path, ended: str, stderr: bytes
) -> JudgedFile:
    """The events that a process reported, as far as it came.

    Raises RuntimeError when the judge itself failed.
    """
    judged, doing, complete = JudgedFile(path), "starting", False
    for line in answers.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        kind = event.pop("event")
        if kind == "report":
            judged.reports.append(event)
        elif kind == "note":
            judged.notes.append(event["text"])
        elif kind == "unjudged":
            judged.unjudged.append(event)
        elif kind == "doing":
            doing = event["what"]
            judged.began = doing.startswith("judging")
        elif kind == "fault":
            raise RuntimeError(f"{path}: {event['text']}")
        elif kind == "trouble":
            judged.trouble = event["text"]
        elif kind == "end":
            judged.printed, complete = event["printed"], True
    if b"ModuleNotFoundError" in stderr:
        missing = stderr.decode().split("No module named ")[-1]
        raise ModuleNotFoundError(
            missing, name=missing.strip().strip("'").split(".")[0]
        )
    if doing == "starting" and stderr:
        raise RuntimeError(f"{path}: {stderr.decode()}")
    if not complete:
        judged.trouble = f"{ended}, while {doing}"
    return judged
