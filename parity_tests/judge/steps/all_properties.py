"""All properties of the steps, none of which needs a reference beside it.

They have files of their own; here is the one that all steps share.
"""

from copy import deepcopy
from functools import cache

from . import (
    embeddings,
    gradients,
    half_precision,
    heads,
    layer_gradients,
    layers,
    memory,
    scores,
    softmax,
    text,
    tiles,
    transformer,
    variants,
)
from .property import (
    Comparisons,
    Gradient,
    Property,
    Step,
    alike,
    equal,
    has_gradient,
    leaves,
)

FILES = (
    softmax,
    heads,
    layers,
    embeddings,
    text,
    variants,
    scores,
    memory,
    tiles,
    transformer,
    half_precision,
    gradients,
    layer_gradients,
)


def inputs_are_left_as_they_were(
    step: Step | Gradient, arguments: dict
) -> Comparisons:
    """The inputs are unchanged after the call."""
    before = deepcopy(dict(arguments))
    after = step.inputs_after(deepcopy(before))
    floats, moved = leaves(before), leaves(after)
    for name, array in floats.items():
        yield alike(name, moved[name], array)
    for name, value in before.items():
        if not has_gradient(value):
            yield from equal(name, after[name], value)


PROPERTIES = tuple(each for file in FILES for each in file.PROPERTIES)


@cache
def properties_of(name: str) -> tuple[Property, ...]:
    """The properties that a step, or a gradient, must have."""
    own = tuple(each for each in PROPERTIES if name in each.of)
    shared = Property(inputs_are_left_as_they_were, of=(name,))
    return (*own, shared) if own else ()


def judged_steps() -> set[str]:
    """The names of all steps and gradients that have properties."""
    return {name for each in PROPERTIES for name in each.of}
