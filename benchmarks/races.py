"""Races: the same work on several sides, in turn, in one process.

Ours is the first side of a race, and the second is the one that our time
is divided by, turn by turn: machines differ and are noisy, ratios less so.
A ratio below 1 means that we are faster.
"""

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from operator import truediv
from statistics import median

from numpy_ref.parameters import state_dict

WORKERS = os.cpu_count() or 1  # threads of our side
WARM_UP = 2  # rounds that are not timed
PAUSE = 0.1  # seconds, in which the other side's threads fall asleep
SHORT = 0.5  # seconds; what takes longer wakes its threads on the way


def seconds(work: Callable[..., object], *arguments) -> float:
    """The seconds of one call."""
    begin = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - begin


def seconds_a_token(tokens: Callable[..., Iterator[int]]) -> float:
    """From the first token on: what comes before is the prefill."""
    generated = tokens()
    next(generated)
    begin = time.perf_counter()
    count = sum(1 for _ in generated)
    return (time.perf_counter() - begin) / count


def size_of(params) -> int:
    """How many weights there are."""
    return sum(array.size for array in state_dict(params).values())


@dataclass(frozen=True)
class Race:
    """The same work by several: one row of a table.

    Each round, every side is called with what `prepare` returns, and
    `timed` gives its seconds. `operations` are the multiplications and
    additions of matrix products that the work cannot do without, and
    `bytes_read` what it has to read from memory: with what the machine
    can do of either, they limit what anybody can reach.
    """

    work: str
    sides: Mapping[str, Callable[..., object]]
    reach: float | None = None  # the ratio to stay at or below
    operations: float = 0
    bytes_read: float = 0
    timed: Callable[..., float] = seconds
    prepare: Callable[[], Sequence] = tuple
    most_rounds: int = 50


@dataclass(frozen=True)
class Row:
    """What a race has shown: the seconds of each side, round by round."""

    work: str
    times: dict[str, list[float]]
    reach: float | None = None
    limits: dict[str, float] = field(default_factory=dict)  # least seconds
    peaks: dict[str, float] = field(default_factory=dict)  # MB

    @property
    def ratios(self) -> list[float]:
        """Our seconds by the second side's, round by round: none where
        nobody else runs."""
        ours, *others = self.times.values()
        return list(map(truediv, ours, others[0])) if others else []

    @property
    def limit(self) -> tuple[str, float] | None:
        """What limits everybody most, and the least seconds by it."""
        return max(
            self.limits.items(), key=lambda each: each[1], default=None
        )

    def share(self, side: str) -> float | None:
        """How much of what the machine allows a side reaches."""
        if self.limit is None:
            return None
        return self.limit[1] / median(self.times[side])


def run(
    race: Race, rounds: int, pause: float = PAUSE, warm_up: int = WARM_UP
) -> Row:
    """Time all sides in turn; the order changes from round to round."""
    times = {side: [] for side in race.sides}
    orders = cycle([[*race.sides], [*race.sides][::-1]])
    count = warm_up + min(rounds, race.most_rounds)
    for order in islice(orders, count):
        prepared = race.prepare()
        for side in order:
            work = race.sides[side]
            took = times[side][-1] if times[side] else SHORT
            if pause and took < SHORT:
                gc.collect()
                time.sleep(pause)
                race.timed(work, *prepared)  # wakes its threads
            times[side].append(race.timed(work, *prepared))
    return Row(
        race.work,
        {side: timed[warm_up:] for side, timed in times.items()},
        race.reach,
    )
