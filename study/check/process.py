"""Several files: one judge for each processor, file after file.

A judge is a process that keeps what it has imported; each file has its
own worker beside it. All of them end when this process does.
"""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

from .judged import JudgedFile, Request, judge_file

GRACE = 60  # seconds beyond a file's own, for the judge's arithmetic

Report = Callable[[JudgedFile], None]


def judge_files(
    paths: list[Path],
    request: Request,
    report: Report = lambda judged: None,
) -> list[JudgedFile]:
    """Judge every file, as many at once as there are processors.

    `report` is called with each as soon as it is judged.
    """
    if len(paths) == 1:
        judged = judge_file(paths[0], request)
        report(judged)
        return [judged]
    # Each has one processor, and more threads would only wait.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    waiting = deque(enumerate(paths))
    results: dict[int, JudgedFile] = {}
    judges = [Judge() for _ in range(min(len(paths), os.cpu_count() or 1))]
    try:
        while len(results) < len(paths):
            for judge in judges:
                if judge.job is None and waiting:
                    judge.begin(*waiting.popleft(), request)
            for index, judged in finished(judges):
                results[index] = judged
                report(judged)
    finally:
        for judge in judges:
            judge.end()
    return [results[index] for index in range(len(paths))]


def finished(judges: list["Judge"]) -> list[tuple[int, JudgedFile]]:
    """What is judged by now; waits for a second at most."""
    busy = [judge for judge in judges if judge.job is not None]
    ready = connection.wait([judge.connection for judge in busy], 1)
    results = [
        judge.result() for judge in busy if judge.connection in ready
    ]
    late = [judge for judge in busy if judge.is_late]
    return results + [
        judge.failed("no verdict within its time") for judge in late
    ]


class Judge:
    """A process that judges one file after the other."""

    def __init__(self):
        self.job: tuple[int, Path] | None = None
        self.deadline = 0.0
        self.start()

    def start(self) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=serve, args=(theirs,), daemon=True
        )
        self.process.start()
        theirs.close()

    def begin(self, index: int, path: Path, request: Request) -> None:
        self.job = index, path
        self.deadline = time.monotonic() + request.seconds + GRACE
        with suppress(OSError):  # if it has ended, `result` will see that
            self.connection.send((path, request))

    @property
    def is_late(self) -> bool:
        return self.job is not None and time.monotonic() > self.deadline

    def result(self) -> tuple[int, JudgedFile]:
        try:
            judged = self.connection.recv()
        except (EOFError, OSError):
            return self.failed("the judge's own process was ended")
        index, _ = self.job
        self.job = None
        return index, judged

    def failed(self, trouble: str) -> tuple[int, JudgedFile]:
        """A row without a verdict, and another process for the others."""
        (index, path), self.job = self.job, None
        self.end()
        self.start()
        return index, JudgedFile(path, trouble=trouble)

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def serve(requests) -> None:
    """Judge what is asked for, until nothing more is, or the command is
    gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command ends us
    threading.Thread(target=end_with_parent, daemon=True).start()
    while True:
        try:
            path, request = requests.recv()
        except EOFError:
            return
        requests.send(judge_file(path, request))


def end_with_parent() -> None:
    parent_process().join()
    os._exit(1)
