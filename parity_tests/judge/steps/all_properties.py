"""All properties of the steps, none of which needs a reference beside it.

`STEP_PROPERTIES` has, for each step and each gradient, by its name, the
properties that it must have. They have files of their own; here is the one
that all steps share.
"""

from copy import deepcopy

from . import embeddings as embedding_properties
from . import gradients as gradient_properties
from . import heads as head_properties
from . import layer_gradients as layer_gradient_properties
from . import layers as layer_properties
from . import softmax as softmax_properties
from . import text as text_properties
from .property import (
    STEP_PROPERTIES,
    Comparisons,
    Gradient,
    Step,
    alike,
    equal,
    has_gradient,
    judged,
    leaves,
)

FILES = (
    softmax_properties,
    head_properties,
    layer_properties,
    embedding_properties,
    text_properties,
    gradient_properties,
    layer_gradient_properties,
)


@judged(*STEP_PROPERTIES)
def inputs_are_left_as_they_were(
    step: Step | Gradient, arguments: dict
) -> Comparisons:
    """The inputs are unchanged after the call."""
    before = deepcopy(arguments)
    step(**arguments)
    after, floats = leaves(arguments), leaves(before)
    for name, array in floats.items():
        yield alike(name, after[name], array)
    for name, value in before.items():
        if not has_gradient(value):
            yield from equal(name, arguments[name], value)
