"""Proof: the properties of a step, asked of any function in its place.

The inputs are those by which the judge tells mutants apart: plain ones of
different and of equal sizes, and extreme ones. What holds is said of them.
"""

import pickle
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

import numpy as np

from parity_tests.judge.steps.all_properties import properties_of
from parity_tests.judge.steps.cases import StepCase
from parity_tests.judge.steps.outputs import fitting
from parity_tests.judge.steps.probes import EXTREME, plain_cases
from parity_tests.judge.steps.property import Step, twin_of
from parity_tests.judge.steps.step import LocalStep
from parity_tests.judge.verdict.property import Property
from parity_tests.judge.verdict.protocol import Broken, NotAsked, Raised


@dataclass(frozen=True)
class Light:
    """A property: on how many inputs it was asked, and on how many failed.

    On `invalid` inputs the function raised an error, or gave what has not
    the form of an answer. `worst` is the largest share of a bound that was
    used up.
    """

    property: Property
    asked: int
    failed: int
    invalid: int
    worst: float

    @property
    def claim(self) -> str:
        return self.property.claim

    @property
    def holds(self) -> bool:
        return self.asked > 0 and not self.is_off

    @property
    def is_off(self) -> bool:
        return self.failed + self.invalid > 0

    @property
    def error(self) -> str:
        """The largest error, as a share of what rounding allows."""
        if not self.worst:
            return "no error"
        share = max(1, round(100 * self.worst))
        return f"the worst error is {share} % of what rounding allows"

    @property
    def verdict(self) -> str:
        """What happened, in words, with the number of inputs."""
        if self.failed:
            return f"fails on {self.failed} of {self.asked} inputs"
        if self.invalid:
            return f"no answer on {self.invalid} of {self.asked} inputs"
        return f"holds on {self.asked} inputs"


def lights(
    function: Callable, name: str, of: str = ""
) -> tuple[Light, ...]:
    """The properties of a step, asked of this function.

    `of` says in words whose they are: `Kept.lights` knows them by it.
    """
    asked = Asked(name, fitting(LocalStep(function), reference_of(name)))
    return tuple(
        light_of(each, asked, name) for each in properties_of(name)
    )


class Asked(Step):
    """A function under question as a step, of which all is known that
    does not depend on the function."""

    def error(self, arguments: dict, inexact=None) -> np.ndarray:
        return error_of(self.name)(arguments, inexact)


@cache
def error_of(name: str) -> Callable:
    """How far a correct result of a step may be off, as `Step.error`."""
    return remembering(Step(name, twin_of(name).reference).error)


@cache
def reference_of(name: str) -> Callable:
    return remembering(twin_of(name).reference)


def remembering(function: Callable) -> Callable:
    """The function, which computes only once what is asked again.

    Each property is asked of all mutants on the same inputs.
    """
    answers = {}

    def answer(*arguments, **named):
        asked = sha256(pickle.dumps((arguments, named))).digest()
        if asked not in answers:
            answers[asked] = function(*arguments, **named)
        return answers[asked]

    return answer


@cache
def lights_of(name: str, lights=lights) -> tuple[Light, ...]:
    """The properties of NumPy's function; AssertionError if one fails."""
    own = lights(twin_of(name).reference, name, "NumPy's function")
    for light in own:
        assert not light.is_off, f"{name}: {light.claim} fails"
    return own


def inputs_of(name: str) -> list[StepCase]:
    """Plain and extreme inputs of a step, the same in each build.

    Without an infinity among them: no property speaks of those.
    """
    extreme = [
        StepCase(name, case)
        for case in EXTREME.get(name, ())
        if all(map(is_finite, case.values()))
    ]
    return [*plain_cases(name), *extreme]


def is_finite(value) -> bool:
    """True for all but floats with an infinity or a NaN."""
    return bool(np.isfinite(value).all()) if np.ndim(value) else True


def light_of(each: Property, asked, name: str) -> Light:
    """One property, on each of the inputs that it can be asked of."""
    shares, invalid = [], 0
    for case in inputs_of(name):
        try:
            with np.errstate(all="ignore"):
                comparisons = [*each.check(asked, deepcopy(case))]
        except NotAsked:
            continue
        except (Broken, Raised):
            invalid += 1
            continue
        if comparisons:
            shares.append(max(c.share for c in comparisons))
    failed = sum(share > 1 for share in shares)
    worst = max(shares, default=0.0)
    return Light(each, len(shares) + invalid, failed, invalid, worst)


def file_of(each: Property) -> str:
    """The file of a property, from the root of the project."""
    return f"{each.check.__module__.replace('.', '/')}.py"
