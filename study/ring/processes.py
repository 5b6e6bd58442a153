"""Ranks as processes: start them, wait for them, and leave none behind.

A rank that dies is seen at once, by its exit code. One that hangs is seen
only by its neighbours, who wait for it in vain: so each group of processes
has an explicit timeout, and the last thing that all do is to meet. In both
cases the rest are killed, and what happened is said in one line.
"""

import os
import pickle
import signal
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

TIMEOUT = 20  # seconds: to start, and to wait for another rank
GRACE = 2  # for others to say what they have met with
# What gloo says when a neighbour is gone or does not answer.
SILENCE = ("timed out", "timeout", "connection", "peer")


class RankError(Exception):
    """What has happened to a rank, in one line."""


def run_ranks(
    work: Callable, ranks: int, *arguments, timeout: float = TIMEOUT
) -> list:
    """Call `work` in so many processes, a group of gloo; their results.

    `work` must be a function that a new process can import. Raises
    RankError when a rank raises, dies, or does not answer for `timeout`
    seconds; no process is left then.
    """
    with tempfile.TemporaryDirectory() as folder:
        processes = start(work, ranks, arguments, Path(folder), timeout)
        try:
            wait_for(processes)
            failed = [each for each in processes if each.exitcode != 0]
            if failed:
                raise RankError(reason(processes, Path(folder), timeout))
        finally:
            end(processes)
        return [
            pickle.loads(Path(folder, f"{rank}.result").read_bytes())
            for rank in range(ranks)
        ]


def start(work, ranks, arguments, folder, timeout) -> list[BaseProcess]:
    """New processes, which share nothing; each computes in one thread."""
    context = get_context("spawn")
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        processes = [
            context.Process(
                target=be_rank,
                args=(rank, ranks, work, arguments, folder, timeout),
                daemon=True,
            )
            for rank in range(ranks)
        ]
        for process in processes:
            process.start()
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
    return processes


def be_rank(rank, ranks, work, arguments, folder, timeout) -> None:
    """What a process does: join the group, work, meet, leave a result."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to hear
    try:
        from torch import distributed

        distributed.init_process_group(
            "gloo",
            init_method=f"file://{folder / 'store'}",
            rank=rank,
            world_size=ranks,
            timeout=timedelta(seconds=timeout),
        )
        result = work(*arguments)
        distributed.barrier()
        (folder / f"{rank}.result").write_bytes(pickle.dumps(result))
        distributed.destroy_process_group()
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        (folder / f"{rank}.error").write_text(what, encoding="utf-8")
        os._exit(1)


def wait_for(processes: list[BaseProcess]) -> None:
    """Wait for all, or for the first that fails and what others say."""
    running = list(processes)
    while running:
        connection.wait([process.sentinel for process in running])
        running = [process for process in running if process.is_alive()]
        if any(process.exitcode for process in processes):
            break
    until = time.monotonic() + GRACE
    for process in running:
        process.join(max(0, until - time.monotonic()))


def end(processes: list[BaseProcess]) -> None:
    """Leave no process behind: one that is stopped hears only SIGKILL."""
    for process in processes:
        if process.is_alive():
            process.kill()
        process.join()


def reason(processes: list[BaseProcess], folder: Path, timeout) -> str:
    """In one line, what was first: a death, an error, or a silence."""
    said = {
        rank: path.read_text(encoding="utf-8")
        for rank in range(len(processes))
        if (path := folder / f"{rank}.error").exists()
    }
    for rank, process in enumerate(processes):
        if process.exitcode and rank not in said:
            return f"rank {rank} died: {cause(process.exitcode)}"
    for rank, what in said.items():
        if not any(word in what.lower() for word in SILENCE):
            return f"rank {rank} failed: {what}"
    silent = [
        str(rank)
        for rank, process in enumerate(processes)
        if process.is_alive()
    ]
    who = " and ".join(silent) or "one of the others"
    return f"no answer from rank {who} within {timeout:g} s"


def cause(code: int) -> str:
    """An exit code in words: negative for a signal."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def run_group(work: Callable, *arguments, timeout: float = TIMEOUT):
    """Call `work` as one of the processes that torchrun has started.

    Rank 0 gets the results of all, the others none, []; a process that
    torchrun has not started gets None. Raises RankError as `run_ranks`.
    """
    from torch import distributed

    if not distributed.is_torchelastic_launched():
        return None
    rank = int(os.environ["RANK"])
    try:
        distributed.init_process_group(
            "gloo", timeout=timedelta(seconds=timeout)
        )
        result = work(*arguments)
        results = (
            [None] * distributed.get_world_size() if not rank else None
        )
        distributed.gather_object(result, results)
        distributed.barrier()
        distributed.destroy_process_group()
    except RuntimeError as error:
        what = str(error).splitlines()[0]
        raise RankError(f"rank {rank} waited in vain: {what}") from None
    return results or []
