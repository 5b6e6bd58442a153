"""Peak memory: what one call needs at most, in a fresh process.

    python -m benchmarks.memory attention "1 × 1,024, causal" fused

prints the MB that the process grows by while it makes the call, which is
its first: whatever the side keeps, inputs and weights, is there before.
Linux only, which can set the peak of a process back.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

from numpy_ref.attention import softmax

from .tables import races_of

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak(table: str, work: str, side: str) -> float | None:
    """The MB of a process of its own; None where it cannot be told."""
    if not RESET.exists():
        return None
    command = [sys.executable, "-m", "benchmarks.memory", table, work, side]
    out = subprocess.run(
        command, capture_output=True, text=True, check=True
    )
    return float(out.stdout.split()[-1])


def growth_of_one_call(table: str, work: str, side: str) -> float:
    """The MB that this process grows by."""
    (race,) = (race for race in races_of(table) if race.work == work)
    prepared = race.prepare()
    softmax(np.zeros(1))  # any step's first call imports what checks shapes
    RESET.write_text("5", encoding="ascii")  # its peak is what it has now
    before = in_status("VmRSS")
    race.timed(race.sides[side], *prepared)
    return in_status("VmHWM") - before


def in_status(name: str) -> float:
    """A number of the process's status, which Linux gives in KiB."""
    lines = STATUS.read_text(encoding="ascii")
    return int(lines.split(f"{name}:")[1].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    print(growth_of_one_call(*sys.argv[1:]))
