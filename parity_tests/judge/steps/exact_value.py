"""The first property of every step: its value is the exact one."""

from dataclasses import replace

import numpy as np

from parity_tests.judge.verdict.property import equals_exact, same
from parity_tests.twins.comparing import largest
from parity_tests.twins.gradients import result_names

from .property import (
    Comparisons,
    Gradient,
    Step,
    description,
    equal,
    inputs,
    named_results,
    twin_of,
)

# Of a plain number, made of a few powers and products.
ROUNDINGS = 16


def equals_the_reference(step: Step, arguments: dict) -> Comparisons:
    """The result is that of the definition, within rounding; ids, masks
    and text are equal."""
    twin, got = twin_of(step.name), step(**arguments)
    names, reference = result_names(twin), twin.reference(**arguments)
    steps = description(step.name, arguments)
    if len(names) == 1:
        got, reference = (got,), (reference,)
    for name, *parts in zip(names, got, reference, strict=True):
        yield from equals_the_exact_one(name, *parts, steps.get(name))


def equals_the_exact_one(name: str, got, reference, exact) -> Comparisons:
    """One result, part by part where it is a tuple or a list."""
    if hasattr(exact, "error"):
        yield equals_exact(name, np.asarray(got), exact)
    elif isinstance(exact, tuple | list) and len(exact) == len(got):
        for index, parts in enumerate(
            zip(got, reference, exact, strict=True)
        ):
            yield from equals_the_exact_one(f"{name}[{index}]", *parts)
    elif isinstance(reference, float):
        slack = ROUNDINGS * np.finfo(float).eps * abs(reference)
        yield same(name, *map(np.asarray, (got, reference, slack)))
    else:
        yield from equal(name, got, reference)


def gradients_equal_the_exact_ones(
    gradient: Gradient, arguments: dict
) -> Comparisons:
    """Each gradient is the derivative, within rounding."""
    result, exact = gradient(**arguments), gradient.exact(arguments)
    scale = max(largest(part.value) for part in exact.values())
    for name, got in named_results(result, inputs(arguments)).items():
        comparison = equals_exact(f"d_{name}", got, exact[name])
        # The largest of all: in others everything may have cancelled.
        yield replace(comparison, scale=scale)
