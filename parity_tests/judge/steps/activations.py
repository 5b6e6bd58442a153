"""Activations: which one a feed-forward layer has is a convention.

The reference has GELU in both of its forms; a layer with ReLU is judged
by its definition.
"""

from dataclasses import replace

import numpy as np

from parity_tests.bounds.rounding import Bounded
from parity_tests.judge.verdict.property import (
    Comparisons,
    equals_exact,
)

from .property import exactly, through

ALTERNATIVES = {
    "feed_forward": ("feed_forward", "feed_forward_tanh"),
    "feed_forward_tanh": ("feed_forward_tanh", "feed_forward"),
    "gelu": ("gelu", "gelu_tanh"),
    "gelu_tanh": ("gelu_tanh", "gelu"),
}
WORDS = {
    "feed_forward": "GELU, exact",
    "feed_forward_tanh": "GELU, GPT-2's form with tanh",
    "gelu": "exact",
    "gelu_tanh": "GPT-2's form, with tanh",
}
FEED_FORWARDS = ("feed_forward", "feed_forward_tanh")


def with_relu(arguments: dict) -> Bounded:
    """A feed-forward layer with ReLU, as it is defined."""
    params = arguments["params"]
    inner = through(params.inner, exactly(arguments["x"]))
    # ReLU makes no error, and lets none grow.
    rectified = replace(inner, value=np.maximum(inner.value, 0))
    return through(params.output, rectified)


def equals_the_layer_with_relu(step, arguments: dict) -> Comparisons:
    """The result is the feed-forward layer with ReLU, within rounding."""
    exact = with_relu(arguments)
    yield equals_exact("y", step(**arguments), exact)
