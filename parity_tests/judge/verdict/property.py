"""A property: a claim, and how it is checked.

`check(subject, case)` yields comparisons of what was returned with what
was expected, each with a bound on how far two correct evaluations can be
apart (`bounds`). Its docstring is the claim that a reader sees when it
fails. Properties stand in explicit tuples.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from parity_tests.bounds.rounding import Bounded, Rounding
from parity_tests.twins.comparing import Comparison, within

Comparisons = Iterator[Comparison]
SIDES = ("got", "expected")
FLOAT64 = Rounding.of(np.float64)
CALLS_IN_A_ROW = 12  # of one input


@dataclass(frozen=True)
class Property:
    """A claim, and how it is checked.

    `needs` names what a subject must offer, such as "masks" or
    "gradients"; `of` the steps that must have the property, where it is
    one of steps. `inputs(subject)` are its own inputs, few and directed,
    in place of drawn ones.
    """

    check: Callable[..., Comparisons]
    needs: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    inputs: Callable | None = None

    @property
    def name(self) -> str:
        return self.check.__name__

    @property
    def claim(self) -> str:
        """The docstring in one line."""
        return " ".join(self.check.__doc__.split("\n\n")[0].split())


def same(path: str, got, expected, bound) -> Comparison:
    """Equal within a bound, entry by entry."""
    return replace(within(path, got, expected, bound), sides=SIDES)


def equals_exact(path: str, got, exact: Bounded) -> Comparison:
    """The exact value, within the error of both.

    The value was itself computed in float64, and so may be off by what
    float64 may be off by: as much again, where the result is float64, too.
    """
    both = exact.error * (1 + FLOAT64.u / exact.rounding.u)
    return same(path, got, exact.value, both)


def identical(path: str, got, expected) -> Comparison:
    """Bit for bit, but for the sign of a zero."""
    return same(path, got, expected, np.zeros(np.shape(got)))
