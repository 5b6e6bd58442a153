"""Gradients of a step, by hand and by PyTorch, name by name."""

import inspect
import sys
from dataclasses import dataclass
from functools import cache

import mpmath
import numpy as np
import torch
from numpy import ndarray as Array

from parity_tests.bounds.rounding import Bounded, in_digits
from parity_tests.exact import DIGITS, described, exact_steps
from parity_tests.exact.numbers import bounded

from .case import Case, to_torch
from .comparing import Comparison, compare_step, largest
from .finding import Twin, find_twins
from .recording import record
from .replaying import to_numpy
from .rules import GIVEN, others, returned_name, steps_of


@dataclass(frozen=True)
class Gradients:
    """Gradients of each named value: both sides' and the exact one.

    Names are those of the values: `scores` for NumPy's `d_scores`; what
    belongs to a parameter bears its dotted name behind `params.`.
    """

    ours: dict[str, Array]
    theirs: dict[str, Array]
    exact: dict[str, object]

    @property
    def scale(self) -> float:
        """The largest of all: others may have cancelled to nothing."""
        return max(
            largest(part)
            for value in self.theirs.values()
            for part in listed(value)
        )

    def compared(self, function: str) -> dict[str, Comparison]:
        """Both sides of each gradient, within what rounding explains."""
        return {
            name: compare_step(
                f"{function}[0]/d_{name}",
                self.ours[name],
                self.theirs[name],
                self.exact[name],
            )
            for name in self.ours
        }


def with_gradient() -> list[Twin]:
    """The twins that have a gradient by hand."""
    return [twin for twin in find_twins() if backward(twin) is not None]


def backward(twin: Twin):
    """The gradient by hand of a step, or None."""
    module = sys.modules[twin.reference.__module__]
    return getattr(module, f"{twin.name}_backward", None)


def gradients(case: Case, upstream: Array, digits: bool = False):
    """Both sides' gradients of the sum of upstream times output."""
    theirs, values = by_pytorch(case, upstream)
    before = {n: to_numpy(values[n]) for n in kept_names(case.twin)}
    ours, d_arguments = by_hand(case, upstream, before)
    name = backward(case.twin).__name__
    exact = exact_steps(name, d_arguments, case.params, digits)
    kept = {n: ours[n] for n in ours if has_namesake(name, n, theirs)}
    exact = {n: v for n, v in named_gradients(exact).items() if n in kept}
    return Gradients(kept, theirs, exact)


def has_namesake(function: str, name: str, theirs: dict) -> bool:
    """Whether `d_name` is the gradient of what has a name there.

    Not so for a parameter's own, which comes again by its dotted name.
    Raises AssertionError for a gradient of nothing.
    """
    if name in theirs:
        return True
    if not any(other.startswith(f"params.{name}") for other in theirs):
        raise AssertionError(f"{function}: d_{name} has no namesake")
    return False


def by_pytorch(case: Case, upstream: Array) -> tuple[dict, dict]:
    """The gradient of each float that comes in or gets a name, and all
    values that do."""
    arguments = {
        name: value.clone().requires_grad_()
        if torch.is_tensor(value)
        and value.is_floating_point()
        and name not in GIVEN
        else value
        for name, value in case.torch_arguments().items()
    }
    output, calls = record(case.torch_step(), **arguments)
    named = arguments | calls[0].steps
    tensors = {
        name: value
        for name, value in named.items()
        if any(part.requires_grad for part in parts(value))
    }
    for value in tensors.values():
        for part in parts(value):
            part.retain_grad()
    first = output[0] if isinstance(output, tuple) else output
    first.backward(to_torch(upstream))
    by_name = {name: gradient(value) for name, value in tensors.items()}
    if case.module is not None:
        for name, parameter in case.module.named_parameters():
            by_name[f"params.{name}"] = gradient(parameter)
            parameter.grad = None
    return by_name, named


def parts(value) -> list[torch.Tensor]:
    """The tensors of a list, or the one that it is."""
    return [part for part in listed(value) if torch.is_tensor(part)]


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def gradient(value):
    """`.grad`, and zeros where nothing came back."""
    if isinstance(value, list):
        return [gradient(part) for part in value]
    if value.grad is None:
        return to_numpy(torch.zeros_like(value))
    return to_numpy(value.grad)


def by_hand(case: Case, upstream: Array, before: dict[str, Array]):
    """NumPy's gradients, and the arguments that they were called with.

    `before` is what the step has computed: PyTorch's, since its gradient
    goes through that. NumPy's own would be off by other roundings.
    """
    function = backward(case.twin)
    first = next(iter(inspect.signature(function).parameters))
    d_arguments = {first: upstream} | before | case.arguments
    holder = {} if case.params is None else {"params": case.params}
    # A loss is a number; an array stays as it is.
    inputs = d_arguments | {first: upstream[()]}
    _, calls = record(function, **inputs, **holder)
    return named_gradients(calls[0].steps), d_arguments


def kept(twin: Twin, arguments: dict) -> dict[str, Array]:
    """What a gradient takes that its step has computed and returned.

    `arguments` are those of the step, `params` among them.
    """
    names = kept_names(twin)
    if not names:
        return {}
    _, calls = record(twin.reference, **arguments)
    return {name: calls[0].steps[name] for name in names}


def kept_names(twin: Twin) -> list[str]:
    """The names of what a gradient takes beside its step's arguments."""
    _, *names = inspect.signature(backward(twin)).parameters
    taken = inspect.signature(twin.reference).parameters
    return [name for name in names if name not in taken]


def named_gradients(steps: dict) -> dict:
    """What is called `d_...`, by the name of what it belongs to."""
    by_name = {
        name.removeprefix("d_"): value
        for name, value in steps.items()
        if name.startswith("d_") and not name.startswith("d_params")
    }
    if "d_params" in steps:
        by_name |= dict(named_leaves(steps["d_params"], "params"))
    return by_name


def named_leaves(value, name: str):
    """Every array, or every number with its error, by its dotted name."""
    if isinstance(value, Array | Bounded):
        yield name, value
        return
    members = (
        enumerate(value)
        if isinstance(value, tuple)
        else vars(value).items()
    )
    for part, member in members:
        yield from named_leaves(member, f"{name}.{part}")


def output_name(twin: Twin) -> str:
    """What a step calls its result, or the first of several."""
    return result_names(twin)[0]


@cache
def result_names(twin: Twin) -> tuple[str, ...]:
    """What a step calls its results, read from its source once."""
    source = inspect.getsource(sys.modules[twin.reference.__module__])
    node = steps_of(source)[twin.name]
    return (returned_name(node), *others(node))


def random_directions(case: Case, rng) -> dict[str, Array]:
    """A direction for each float input, by its name: whole numbers."""
    return {
        name: rng.integers(-3, 4, leaf.shape)
        for name, leaf in float_inputs(in_fifty_digits(case)).items()
    }


def in_fifty_digits(case: Case) -> dict[str, object]:
    """The arguments of a step's description, `params` among them."""
    arguments = {n: bounded(v, True) for n, v in case.arguments.items()}
    if case.params is not None:
        arguments["params"] = bounded(case.params, True)
    return arguments


def float_inputs(arguments: dict) -> dict[str, Bounded]:
    """The inputs that are floats and not given, by their dotted names."""
    leaves = {}
    for name, value in arguments.items():
        learned = isinstance(value, Bounded) and name not in GIVEN
        if name == "params" or learned:
            leaves |= dict(named_leaves(value, name))
    return leaves


def difference_quotient(case: Case, upstream: Array, directions) -> float:
    """Central difference: how the sum of upstream times output grows.

    Of the step's exact value in DIGITS digits. Its truncation error is of
    the order of the step's square, 1e-40, its cancellation of 1e-50 over
    the step, 1e-30.
    """
    with mpmath.workdps(DIGITS):
        step = mpmath.mpf(2) ** -66
        ahead, behind = (
            np.sum(in_digits(upstream) * output(case, directions, size))
            for size in (step, -step)
        )
        return (ahead - behind) / (2 * step)


def slope_by_hand(named: Gradients, directions) -> tuple:
    """Directional derivative, from the gradients by hand, and its bound."""
    with mpmath.workdps(DIGITS):
        slope = sum(
            np.sum(in_digits(named.ours[name]) * direction)
            for name, direction in directions.items()
        )
    errors = [
        np.sum(named.exact[name].error * abs(direction))
        for name, direction in directions.items()
    ]
    return slope, sum(errors)


def output(case: Case, directions, size) -> Array:
    """The exact output, with each input moved by size times direction."""
    arguments = in_fifty_digits(case)
    for name, leaf in float_inputs(arguments).items():
        leaf.value[...] += size * in_digits(directions[name])
    return described(case.twin.name)(**arguments)[
        output_name(case.twin)
    ].value
