"""`Subject`: what a function, a class and a step have in common.

A subject offers properties, inputs for them, and, should one fail, probes
and mutants to name a cause by. How it is called is its own affair.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from hypothesis.strategies import SearchStrategy

from .property import Property


class Broken(Exception):
    """The output is invalid; the text says how: "returned …"."""


class Raised(Exception):
    """The subject raised an error on this input, which is no answer.

    `error` has its type, text and line, and whether the environment is to
    blame (`candidate/host.py`).
    """

    def __init__(self, error: dict):
        super().__init__(spelled(error))
        self.error = error


class Lost(Exception):
    """The process of the subject has ended, or no longer makes sense."""


class TimedOut(Lost):
    """There was no answer in time, which counts against nobody."""


class NotAsked(Exception):
    """This input cannot be put to the subject, in the form it takes."""


class NotJudged(ValueError):
    """It cannot be judged; the text says why, and what would help."""


FAILED_TRIAL = (Raised, Broken, NotAsked, TypeError, ValueError, IndexError)


def attempt(call: Callable, *arguments, **options):
    """What a call of a trial returns; None where the trial fails."""
    try:
        return call(*arguments, **options)
    except FAILED_TRIAL:
        return None


def answered(answer: dict) -> dict:
    """The answer of a host. Raises Raised if it is an error."""
    if "error" in answer:
        raise Raised(answer["error"])
    return answer


def spelled(error: dict) -> str:
    """An error in words: which, and in which line."""
    where = f" (line {error['line']})" if error.get("line") else ""
    text = f": {error['text']}" if error.get("text") else ""
    return f"raised {error['type']}{text}{where}"


class Subject(Protocol):
    """What is judged.

    Properties are asked of it, or of its `asked`, if it has that.
    """

    name: str
    kind: str
    when_random: str  # the cause, where the same input gets other outputs
    is_meant: bool  # somebody said that it is what it is judged as
    mask_is_declared: bool  # somebody said what its mask means

    def properties(self) -> Iterable[Property]:
        """Those that it can be asked about, the simplest first."""

    def cases(self) -> SearchStrategy:
        """The inputs on which properties are checked."""

    def not_asked(self) -> dict[str, str]:
        """What it was not asked about, and why."""

    # --- for the diagnosis -----------------------------------------------

    def probes(self) -> Iterable[list]:
        """Inputs to compare it with mutants on, in stages: if those of one
        stage do not tell which it is, those of the next are added."""

    def answer(self, probe):
        """Its output; raises what a call raises."""

    def right(self, probe):
        """The output that would be right."""

    def changes(self, probe) -> bool:
        """Whether the call modifies the input."""

    def mutants(self, probes: list) -> Iterator[tuple[str, Callable]]:
        """Causes, and what would give the outputs if each were it."""

    def agree(self, output, expected, probe) -> bool:
        """Whether two outputs are equal, but for rounding."""

    def other_cause(self) -> str | None:
        """A cause that shows in no output of a probe."""
