"""Threads: pieces of work for several cores, and memory for each thread.

NumPy lets go of Python's lock while it computes, so threads do run at the
same time. Each takes one piece of work after the other. BLAS stays in the
thread that calls it, because threads of its own would wait for each
other's cores.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import prod
from typing import TypeVar

import numpy as np
from numpy import ndarray as Array

Index = tuple[int | slice, ...]
Piece, Result = TypeVar("Piece"), TypeVar("Result")


class Buffers:
    """Buffers of one thread: memory that is used again, by its name."""

    def __init__(self):
        self.memory = {}

    def take(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype
    ) -> Array:
        """An array of this shape, whatever is in it."""
        size = prod(shape)
        if name not in self.memory or self.memory[name].size < size:
            self.memory[name] = np.empty(size, dtype)
        return self.memory[name][:size].reshape(shape)


def blocks_of(count: int, size: int) -> list[slice]:
    """0 ... count - 1 in blocks, the last maybe shorter."""
    return [
        slice(start, min(start + size, count))
        for start in range(0, count, size)
    ]


def run_on_threads(
    work: Callable[[Piece, Buffers], None],
    pieces: list[Piece],
    workers: int,
) -> None:
    """Each worker takes the next piece, as long as there is one.

    One worker computes in the calling thread.
    """
    queue = iter(pieces)  # of which one thread at a time takes the next

    def run() -> None:
        buffers = Buffers()
        for piece in queue:
            work(piece, buffers)

    with blas().limit(limits=1, user_api="blas"):
        if workers == 1:
            return run()
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(run) for _ in range(workers)]
            for future in futures:
                future.result()


def results_on_threads(
    function: Callable[[Piece], Result], pieces: list[Piece], workers: int
) -> list[Result]:
    """What a function gives for each piece, in the order of the pieces."""
    results = [None] * len(pieces)

    def work(place: int, _: Buffers) -> None:
        results[place] = function(pieces[place])

    run_on_threads(work, list(range(len(pieces))), workers)
    return results


@cache
def blas():
    """What holds BLAS to a number of threads; to find it takes a while."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
