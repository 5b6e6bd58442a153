"""`StepSubject`: a function for one step, or for a gradient, as a subject.

It is called under the argument names of the reference, in whatever
spelling it has its own (`spelling.py`).
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import is_dataclass
from types import SimpleNamespace

import numpy as np

from parity_tests.bounds.rounding import is_float_dtype
from parity_tests.judge.candidate.values import copied
from parity_tests.judge.mutants.steps import MUTANTS
from parity_tests.judge.verdict.diagnosis import alike
from parity_tests.judge.verdict.property import Property
from parity_tests.judge.verdict.protocol import Broken, NotAsked, Raised
from parity_tests.twins.gradients import backward

from .activations import equals_the_layer_with_relu, with_relu
from .all_properties import properties_of
from .cases import StepCase, step_cases
from .exact_value import (
    equals_the_reference,
    gradients_equal_the_exact_ones,
)
from .outputs import answer_of, fitting
from .probes import plain_cases, stages
from .property import BACKWARD, Gradient, Step, twin_of


class StepSubject:
    """A function under judgement as the step `name`, or its gradient.

    `function` takes NumPy values by the names that the step gives them;
    `adapted(case)` is a case as the function can be asked.
    """

    when_random = "the output is random"
    is_meant = mask_is_declared = True  # by its name, and its arguments

    def __init__(
        self,
        function: Callable,
        name: str,
        adapted: Callable = lambda case: case,
    ):
        self.name = self.kind = name
        if not hasattr(function, "inputs_after"):
            function = LocalStep(function)
        self.function, self.adapted = function, adapted
        judged = fitting(function, reference(name))
        if name.endswith(BACKWARD):
            twin = twin_of(name)
            self.asked = Gradient(twin.name, twin.reference, judged)
            self.exact = gradients_equal_the_exact_ones
        else:
            self.asked = Step(name, judged)
            self.exact = equals_the_reference

    @property
    def host(self):
        """Where the function runs, None if it is one of this process."""
        return getattr(self.function, "host", None)

    def properties(self) -> Iterator[Property]:
        yield Property(self.exact)
        yield from properties_of(self.name)

    def cases(self):
        cases = step_cases(self.name).map(self.adapted)
        return cases.filter(self.takes)

    def takes(self, case: StepCase) -> bool:
        """Whether the function takes arrays of so many axes."""
        takes = getattr(self.function, "takes", None)
        return takes is None or takes(case)

    def not_asked(self) -> dict[str, str]:
        told = getattr(self.function, "not_asked", dict)
        return told()

    # --- for the diagnosis -----------------------------------------------

    def probes(self) -> Iterator[list]:
        """Inputs in stages, as long as the ones before have not told."""
        if self.name not in MUTANTS:
            return
        for stage in stages(self.name):
            yield list(filter(self.takes, map(self.adapted, stage)))

    def answer(self, probe):
        return answer_of(self.function, probe)

    def right(self, probe):
        with np.errstate(all="ignore"):
            return reference(self.name)(**deepcopy(dict(probe)))

    def changes(self, probe) -> bool:
        """Whether the call modifies its arguments."""
        try:
            after = self.function.inputs_after(dict(probe))
        except (Exception, SystemExit):  # foreign code
            return False
        return not agree(list(after.values()), list(probe.values()))

    def mutants(self, probes) -> Iterator[tuple[str, Callable]]:
        for cause, mutant in MUTANTS[self.name].items():
            yield cause, in_order(mutant)

    def agree(self, output, expected, probe) -> bool:
        return agree(output, expected)

    def other_cause(self) -> str | None:
        return None


class LocalStep:
    """A function of this process, which gets copies of its arguments."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, **arguments):
        return self.function(**copied(arguments))

    def inputs_after(self, arguments: dict) -> dict:
        """The arguments as they are after a call."""
        copies = copied(arguments)
        self.function(**copies)
        return copies


class ReluSubject(StepSubject):
    """A feed-forward layer with ReLU in place of GELU, in float64."""

    def __init__(self, function: Callable, name: str):
        adapted = function.adapted
        super().__init__(function, name, adapted=adapted)

    def properties(self) -> Iterator[Property]:
        yield Property(equals_the_layer_with_relu)

    def cases(self):
        return step_cases(self.name, ("float64",)).map(self.adapted)

    def fits(self) -> bool:
        """Whether it is one, on plain inputs, to a few digits."""
        case = self.adapted(plain_cases(self.name)[3])
        try:
            output = self.asked(**case)
        except (Broken, NotAsked, Raised):
            return False
        return alike(output, with_relu(case).value)

    def probes(self) -> list[list]:
        return []


def in_order(mutant: Callable) -> Callable:
    """A mutant takes the arguments of the step in order, not by name."""
    return lambda probe: mutant(*deepcopy(list(probe.values())))


def reference(name: str) -> Callable:
    """The project's own function for a step, or for its gradient."""
    twin = twin_of(name)
    return backward(twin) if name.endswith(BACKWARD) else twin.reference


def agree(output, expected) -> bool:
    """Equal in every part; floats up to rounding, and NaN equals NaN."""
    if isinstance(expected, tuple | list):
        return (
            isinstance(output, tuple | list)
            and len(output) == len(expected)
            and all(map(agree, output, expected))
        )
    if is_dataclass(expected) or isinstance(expected, SimpleNamespace):
        return all(
            agree(getattr(output, name, None), part)
            for name, part in vars(expected).items()
        )
    if output is None or expected is None:
        return output is expected
    if isinstance(expected, str | bytes | dict):
        return output == expected
    return agree_as_arrays(np.asarray(output), np.asarray(expected))


def agree_as_arrays(output: np.ndarray, expected: np.ndarray) -> bool:
    if output.shape != expected.shape:
        return False
    if is_half(output.dtype) or is_half(expected.dtype):
        return output.dtype == expected.dtype and agree_in_half(
            output, expected
        )
    if output.dtype.kind not in "biuf":
        return False
    if "f" in output.dtype.kind + expected.dtype.kind:
        return alike(output, expected)
    return np.array_equal(output, expected)


def is_half(dtype: np.dtype) -> bool:
    """Whether it is a float of 16 bits."""
    return is_float_dtype(dtype) and dtype.itemsize == 2


FEW = 32  # of so many entries one may have been carried over a border


def agree_in_half(output: np.ndarray, expected: np.ndarray) -> bool:
    """Equal, but for few entries that are neighbours of what they should
    be: float32's order of a sum may carry a number over a border."""
    output, expected = np.atleast_1d(output, expected)
    apart = np.abs(places_of(output) - places_of(expected))
    apart[np.isnan(output) & np.isnan(expected)] = 0
    return apart.max(initial=0) <= 1 and apart.sum() <= apart.size // FEW


def places_of(array: np.ndarray) -> np.ndarray:
    """The place of each half among all of its format, in their order."""
    bits = array.view(np.int16).astype(int)
    return np.where(bits < 0, -(bits & 0x7FFF), bits)
