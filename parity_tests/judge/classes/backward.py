"""A backward by hand: how it is asked, and which are not.

It is called right after the forward, in an instance that keeps nothing of
calls before. Which of what it returns is the gradient of the tokens is
told by its shape; where that, or what it takes, is not clear, it is left
alone.
"""

import re
from dataclasses import dataclass

import numpy as np

from parity_tests.judge.attention.calling import paths_of
from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.verdict.protocol import FAILED_TRIAL

from .derivatives import CLOSE_IN_FLOAT32, gradient_of_tokens, upstream_for

# What a gradient of the output is called: dout, d_out, dL_dy, grad, delta.
GRADIENT = re.compile(
    r"[dg]_?(l_?d_?)?([a-z]{1,2}|out\w*|values?|context|"
    r"hidden|next|result|att\w*)?|"
    r"\w*(grad|delta|upstream)\w*|(\w+_)?err(ors?)?",
    re.I,
)


@dataclass(frozen=True)
class WayBack:
    """Where in what a backward returns the gradient of the tokens is; or
    why it is not asked."""

    path: tuple = ()
    why_not: str = ""

    @property
    def is_asked(self) -> bool:
        return not self.why_not


def way_back(layer) -> WayBack:
    """How the backward of a layer is asked."""
    thing = layer.thing
    if not thing.backward:
        return WayBack(why_not="it has none")
    if why_not := taken_beside_a_gradient(thing):
        return WayBack(why_not=why_not)
    try:
        return found(layer)
    except FAILED_TRIAL as error:
        return WayBack(why_not=f"{thing.backward} {error}")
    finally:
        layer.renew(layer.case())


def backward_not_asked(layer) -> dict[str, str]:
    """What a report says of a backward that was not asked, or in part.

    Without it, half of what a layer does in training was not asked.
    """
    if not layer.thing.backward:
        return {}
    why_not = layer.way_back.why_not or (
        "only what it returns was asked, not what it keeps for its weights"
    )
    return {"its backward": why_not}


def taken_beside_a_gradient(thing: Thing) -> str:
    """What it takes that is no gradient of the output, in words."""
    required = [each.name for each in thing.back if each.required]
    others = [name for name in required if not GRADIENT.fullmatch(name)]
    if others or len(required) != 1:
        named = " and ".join(required) or "nothing"
        return f"{thing.backward} takes {named}"
    return ""


def found(layer) -> WayBack:
    """The way, by trial. Raises what a trial may raise."""
    case, name = layer.case(), layer.thing.backward
    upstream = upstream_for(layer, case)
    before = layer.of(case)
    back = layer.returned_back(case, upstream)
    if not np.array_equal(layer.of(case), before, equal_nan=True):
        return WayBack(why_not=f"{name} changes what the forward gives")
    if len(passed := layer.tokens_passed(case)) != 1:
        return WayBack(why_not=f"its call takes {' and '.join(passed)}")
    shape = layer.arranged(case.x).shape
    paths = [
        path
        for path, part in paths_of(back)
        if isinstance(part, np.ndarray) and part.shape == shape
    ]
    if len(paths) != 1:
        return WayBack(
            why_not=f"{name} returns {len(paths) or 'no'} arrays of the "
            f"shape of {passed[0]}"
        )
    got = layer.gradient_in(back, paths[0])
    twice = layer.returned_back(case, 2 * upstream)
    if not are_alike(layer.gradient_in(twice, paths[0]), 2 * got):
        return WayBack(why_not=f"{name} is not linear, as where it clips")
    exact = gradient_of_tokens(layer, case, upstream)
    if is_multiple(got, exact):
        return WayBack(why_not=f"{name} gives a multiple of the gradient")
    return WayBack(paths[0])


def is_multiple(got: np.ndarray, exact: np.ndarray) -> bool:
    """Whether it is the gradient times some other number than 1, as where
    it is that of a mean over the batch."""
    factor = (got * exact).sum() / (exact * exact).sum()
    is_one = np.isclose(factor, 1, rtol=CLOSE_IN_FLOAT32)
    return factor > 0 and not is_one and are_alike(got, factor * exact)


def are_alike(got: np.ndarray, other: np.ndarray) -> bool:
    """Whether two gradients are equal, but for rounding."""
    bound = CLOSE_IN_FLOAT32 * np.abs(other).max()
    return np.allclose(got, other, 0, bound, equal_nan=True)
