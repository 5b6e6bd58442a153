"""The machine: what it is, what it can do at most, and whether it is idle.

Nobody multiplies matrices faster than its matrix products allow, nor reads
weights faster than its memory does. Both are measured: products by NumPy
and by PyTorch, of which the faster counts, and reading by PyTorch.
"""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from study.figures.timings import plain_name, processor

from .races import PAUSE, seconds

RUNS = 5
SIDE = 2048  # of the matrices that are multiplied, in float32
READ = 2**27  # numbers of float32: 512 MiB, more than any cache
MOST_STOLEN = 0.05  # of the time, that others take while we count
MOST_LOAD = 0.5  # processes that run meanwhile, for each core
SETTINGS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # of old builds


@dataclass(frozen=True)
class Machine:
    """A machine and its limits: additions and multiplications of matrix
    products a second, bytes read a second."""

    processor: str
    cores: int
    threads: dict[str, int]
    versions: dict[str, str]
    product_rate: float
    read_rate: float
    settings: dict[str, str]

    def limits(self, operations: float, bytes_read: float) -> dict:
        """The least seconds of what has to be computed and read."""
        needs = {
            "products": operations / self.product_rate,
            "memory": bytes_read / self.read_rate,
        }
        return {name: least for name, least in needs.items() if least}


def this_machine(versions: dict[str, str]) -> Machine:
    """Measure this machine: about five seconds."""
    return Machine(
        plain_name(processor()),
        os.cpu_count() or 1,
        threads(),
        {"Python": platform.python_version(), **versions},
        product_rate(),
        read_rate(),
        {name: os.environ[name] for name in SETTINGS if name in os.environ},
    )


def threads() -> dict[str, int]:
    """How many threads each side computes on."""
    import torch
    from threadpoolctl import threadpool_info

    pools = [p for p in threadpool_info() if p["user_api"] == "blas"]
    ours = max((pool["num_threads"] for pool in pools), default=1)
    return {"NumPy": ours, "PyTorch": torch.get_num_threads()}


def product_rate() -> float:
    """Multiplications and additions a second, of two large matrices."""
    import torch

    a = np.ones((SIDE, SIDE), np.float32)
    b = torch.from_numpy(a)
    return 2 * SIDE**3 / fastest(lambda: a @ a, lambda: b @ b)


def read_rate() -> float:
    """Bytes a second that all threads read, of 512 MiB."""
    import torch

    numbers = torch.ones(READ)
    return 4 * READ / fastest(numbers.sum)


def fastest(*works: Callable[[], object]) -> float:
    """The seconds of the fastest run of any."""
    return min(seconds(work) for _ in range(RUNS) for work in works)


def stolen() -> float:
    """The share of a fifth of a second that others took from a count."""
    time.sleep(PAUSE)  # until our own threads are asleep
    begin, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - begin < 0.2:
        pass
    counted = time.process_time() - used
    return 1 - counted / (time.perf_counter() - begin)


def why_too_busy() -> str:
    """Why no timing can be believed now; "" where it can."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > MOST_LOAD * cores:
        return (
            f"a load of {load:.1f} on {cores} cores before the first race"
        )
    return too_much_taken(stolen())


def too_much_taken(share: float) -> str:
    """Whether others have taken too much of the time, in words."""
    if share <= MOST_STOLEN:
        return ""
    return f"others took {share:.0%} of the time of one core"
