r"""Exact derivatives of a layer, by a complex step.

For an analytic f, $f(x + i h v)$ has the imaginary part $h \, f'(x) v$,
without a difference in which digits are lost (Squire and Trapp 1998).
"""

from dataclasses import replace
from functools import partial

import numpy as np

from parity_tests.judge.mutants.class_parts import layer_of_heads

from .cases import LayerCase

# A gradient in float32, as a share of the largest one; also one by hand,
# which may keep what it needs in float32.
CLOSE_IN_FLOAT32 = 1e-4
TINY = 1e-30  # how far into the imaginary: no difference is taken

# Where tokens come from: the first of these roles that is passed.
TAKEN_FROM = {
    "x": ("x", "query"),
    "key": ("key", "context", "x"),
    "value": ("value", "context", "x"),
}


def tokens_by_argument(layer, case: LayerCase) -> dict[str, list[str]]:
    """Which tokens of the case each argument is: "x" alone, where others
    are attended to; "x", "key" and "value", where it attends to itself."""
    roles, passed = layer.body.roles.tokens, layer.arguments(case)
    argument_of = {role: n for n, role in roles.items() if n in passed}
    uses: dict[str, list[str]] = {name: [] for name in argument_of.values()}
    for use, taken_from in TAKEN_FROM.items():
        role = next(each for each in taken_from if each in argument_of)
        uses[argument_of[role]].append(use)
    return uses


def derivative(layer, case: LayerCase, moved, label: str, along, **parts):
    """How the reference's output changes along the tokens that are moved,
    or, where none are, along a weight; its `parts` may be wrong ones."""
    step = 1j * TINY * along
    arrays = dict(layer.arrays(case))
    tokens = {use: case.tokens_by_use[use] + step for use in moved}
    if not moved:
        arrays[label] = arrays[label] + step
    read = layer.weights(case, arrays=arrays)
    complex_case = replace(case, **case.tokens_by_use | tokens)
    output = complex_case.output_of(
        partial(layer_of_heads, read, **parts), layer.causal_for(case)
    )
    return np.imag(output) / TINY


def upstream_for(layer, case: LayerCase) -> np.ndarray:
    """Some gradient of the output of a case, of small whole numbers."""
    random = np.random.default_rng(case.seed)
    return random.integers(-3, 4, layer.plain(case).shape).astype(float)


def gradient_of_tokens(
    layer,
    case: LayerCase,
    upstream: np.ndarray,
    uses: tuple[str, ...] = ("x", "key", "value"),
    **parts,
) -> np.ndarray:
    """The gradient of the tokens in all their uses, for a gradient of the
    output."""
    gradient = np.zeros(case.x.shape)
    for at in np.ndindex(case.x.shape):
        along = np.zeros(case.x.shape)
        along[at] = 1
        changed = derivative(layer, case, uses, "", along, **parts)
        gradient[at] = (changed * upstream).sum()
    return gradient
