"""Where a learned scale begins: at 1/√d_head, or at a known mistake.

A number that is learned may begin anywhere; but one that begins at
1/√d_model was meant to be the scale of one head.
"""

from collections.abc import Iterator

import numpy as np

from parity_tests.judge.mutants.attention_parts import Probe
from parity_tests.judge.mutants.class_parts import SCALES

from .causes import possible
from .derivatives import CLOSE_IN_FLOAT32

MAY_BE_MEANT = "the scale is missing"  # it begins at 1, as a temperature


def first_scales(layer) -> list[float] | None:
    """What scores are multiplied by before anything is learned, at each
    of its sizes; None where there is no one number that is learned."""
    learned = layer.recipe.learned
    if learned is None:
        return None
    scales = []
    for built, sizes in enumerate(layer.sizes):
        number = layer.body.beginnings(sizes).get(learned.label)
        if number is None:
            return None
        factor = np.unique(learned.of(number))
        if len(factor) > 1:
            return None
        rooted = 1 if layer.recipe.unscaled else right_scale(layer, built)
        scales.append(float(factor[0]) * rooted)
    return scales


def right_scale(layer, built: int) -> float:
    return layer.d_head_at(built) ** -0.5


def begins_right(layer) -> bool:
    right = [right_scale(layer, at) for at in range(len(layer.sizes))]
    return are_close(first_scales(layer), right)


def mistakes_at_first(layer) -> list[str]:
    """The known mistakes in whose scale it begins, at each size."""
    first = first_scales(layer)
    if first is None or begins_right(layer):
        return []
    names = SCALES.keys() & possible(layer)
    known = {name: [*scales_by(name, layer)] for name in names}
    return [
        name.split(" [")[0]
        for name, scales in known.items()
        if name != MAY_BE_MEANT and are_close(first, scales)
    ]


def cause_of_its_first_scale(layer) -> str | None:
    """The one mistake in whose scale a number begins that is learned."""
    known = mistakes_at_first(layer)
    return known[0] if len(known) == 1 else None


def scales_by(name: str, layer) -> Iterator[float]:
    """The scale by a known mistake, at each size of a layer."""
    how = SCALES[name].keywords
    for built in range(len(layer.sizes)):
        case = layer.case(size=built)
        read = layer.weights(case)
        if "scale" in how:
            yield how["scale"](read)
            continue
        tokens, width = case.x.shape[-2], layer.d_head_at(built)
        query = np.zeros((read.heads, tokens, width))
        yield how["factor"](Probe(query, query, query))


def are_close(first: list[float] | None, scales: list[float]) -> bool:
    return first is not None and np.allclose(
        first, scales, CLOSE_IN_FLOAT32, 0
    )
