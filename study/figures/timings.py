"""Timings: figures that depend on the machine, and name it.

A command is run some times, in a folder of its own, and the fastest run
counts: what else the machine does only ever adds. On a busy machine even
that one would be too slow, so nothing is timed there.
"""

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .results import Figure, Machine
from .texts import HOUSE

RUNS = 5
MOST_LOAD = 0.5  # processes that run meanwhile, for each core


class Timing(NamedTuple):
    """A command's words after `twice`, and how its seconds are shown."""

    words: tuple[str, ...]
    form: str = "{value:.0f} {unit}"

    def __str__(self) -> str:
        return " ".join(("twice", *self.words))


TIMINGS = {
    "check.one_attention": Timing(
        ("check", "parity_tests/bug_zoo/right/by_einsum.py")
    ),
    "train.verdict": Timing(("train", "--out", "my-gpt2")),
}


def timed(name: str) -> Figure:
    """Run a timing's command on this machine.

    Raises ValueError for an unknown name, on a busy machine, and for a
    command that fails.
    """
    if name not in TIMINGS:
        raise ValueError(
            f"expected a timing: {', '.join(TIMINGS)}, got {name}"
        )
    load, most = os.getloadavg()[0], MOST_LOAD * os.cpu_count()
    if load > most:
        raise ValueError(
            f"expected an idle machine, with a load of at most {most:g}, "
            f"got {load:.1f}"
        )
    timing = TIMINGS[name]
    fastest = min(seconds_of(timing) for _ in range(RUNS))
    return Figure(
        value=round(fastest, 1),
        unit="seconds",
        form=timing.form,
        measured=date.today().isoformat(),
        by=str(timing),
        machine=this_machine(),
    )


def seconds_of(timing: Timing) -> float:
    """The seconds of one run. Raises ValueError for one that fails."""
    words = (
        str(HOUSE / word) if (HOUSE / word).is_file() else word
        for word in timing.words
    )
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        run = subprocess.run(
            [sys.executable, "-m", "study", *words],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(HOUSE)},
            capture_output=True,
            text=True,
        )
        end = time.perf_counter()
    if run.returncode:
        raise ValueError(
            f"expected {timing} to end with exit code 0, "
            f"got {run.returncode}: {run.stderr.strip()}"
        )
    return end - begin


def this_machine() -> Machine:
    return Machine(
        processor=plain_name(processor()),
        cores=os.cpu_count(),
        memory_bandwidth=f"{gigabytes_copied():.0f} GB/s, one core copies",
    )


def processor() -> str:
    """The processor's name; on Linux more than its architecture."""
    file = Path("/proc/cpuinfo")
    if file.is_file():
        name = re.search(r"^model name\s*: (.+)$", file.read_text(), re.M)
        if name:
            return name.group(1)
    return platform.processor() or platform.machine()


def plain_name(name: str) -> str:
    """
    >>> plain_name("Intel(R) Xeon(R) Processor")
    'Intel Xeon'
    >>> plain_name("Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz")
    'Intel Core i7-8550U'
    """
    words = re.sub(r"\((R|TM)\)|\b(CPU|Processor)\b|@.*", "", name)
    return " ".join(words.split())


def gigabytes_copied(runs: int = 5) -> float:
    """Bytes read and written in a second by a large copy, the fastest."""
    source = np.ones(2**25)  # 256 MB, more than most caches
    target = np.empty_like(source)
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - begin)
    return 2 * source.nbytes / min(times) / 1e9
