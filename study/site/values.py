"""Values: each named step of an example, recorded from both sides.

What a row shows: the numbers as a table with a ground of colour, what the
two sides differ by, how much rounding allows, and the exact value of the
entry where they are furthest apart.
"""

from functools import cache
from html import escape
from pathlib import PurePosixPath

import numpy as np
import torch

from parity_tests.bounds.rounding import Bounded, is_float_dtype
from parity_tests.exact import described, exact_steps
from parity_tests.exact.numbers import bounded
from parity_tests.judge.steps.property import is_in_half
from parity_tests.judge.steps.step import is_half
from parity_tests.twins.case import Case
from parity_tests.twins.comparing import (
    Comparison,
    compare_step,
    is_float,
)
from parity_tests.twins.finding import find_twins
from parity_tests.twins.gradients import gradients, output_name
from parity_tests.twins.recording import record
from parity_tests.twins.replaying import compare, numpy_params, to_numpy

from ..text.spelling import shortened
from .examples import example_of

DIGITS_OF_EXACT, SHOWN_OF_EXACT = 50, 20
MOST_ROWS, MOST_COLUMNS, MOST_TABLES = 6, 8, 4
# Three digits do not tell a bfloat16 from its neighbours, and four do.
DIGITS, DIGITS_OF_HALF = 3, 4
MINUS = "\u2212"
UPSTREAM = np.array([1.0, -2, 3, -1, 2])  # no two rows alike


@cache
def steps_of(name: str) -> dict[str, tuple[Comparison, object]]:
    """The comparison and the exact value of each step of an example.

    Raises AssertionError when the two sides are further apart than
    rounding explains: the site shows nothing that does not hold.
    """
    case = example_of(name)
    with torch.no_grad():
        theirs, calls = record(case.torch_step(), **case.torch_arguments())
    call = calls[0]
    exact = exact_steps(
        name, to_numpy(call.arguments), numpy_params(call), digits=True
    )
    steps = {}
    for comparison in compare(calls[:1]):
        assert comparison.holds, str(comparison)
        step = PurePosixPath(comparison.path).name
        steps[step] = comparison, exact.get(step)
    result = output_name(case.twin)
    is_carried = result in case.arguments
    return steps | carried(case, theirs) if is_carried else steps


def carried(case: Case, theirs) -> dict[str, tuple[Comparison, object]]:
    """The result, where a loop carries it on under an input's name."""
    name = output_name(case.twin)
    arguments = {
        each: bounded(value, digits=True)
        for each, value in case.numpy_arguments().items()
    }
    exact = described(case.twin.name)(**arguments).get(name)
    exact = exact if isinstance(exact, Bounded) else None
    sides = result_of(case), to_numpy(theirs)
    comparison = compare_step(name, *sides, exact)
    assert comparison.holds, str(comparison)
    return {name: (comparison, exact)}


def digits_of(name: str) -> int:
    """How many digits of each number a step, or a gradient, shows."""
    return DIGITS_OF_HALF if is_in_half(name) else DIGITS


@cache
def gradients_of(name: str) -> dict[str, tuple[Comparison, object]]:
    """The gradient of each named value of an example, beside autograd's.

    It is that of the sum of the output times `UPSTREAM`'s whole numbers.
    Raises AssertionError where the two are further apart than rounding
    explains.
    """
    case = example_of(name)
    result = first_of(result_of(case))
    upstream = np.resize(UPSTREAM, result.shape).astype(result.dtype)
    both = gradients(case, upstream)
    exact = gradients(case, upstream, digits=True).exact
    steps = {}
    for step, comparison in both.compared(f"{name}_backward").items():
        assert comparison.holds, str(comparison)
        steps[f"d_{step}"] = comparison, exact[step]
    return steps


def first_of(result):
    """A result, or the first of several."""
    return result[0] if isinstance(result, tuple) else result


def result_of(case: Case):
    """What NumPy's function makes of an example."""
    return case.twin.reference(**case.numpy_arguments())


def inputs_of(name: str) -> dict[str, str]:
    """HTML for each input of an example, a layer's parameters included."""
    case = example_of(name)
    layers = {} if case.module is None else case.module.state_dict()
    inputs = case.arguments | to_numpy(dict(layers))
    digits = digits_of(name)
    return {each: tables(value, digits) for each, value in inputs.items()}


def values_of(file: str, name: str) -> dict[str, str]:
    """HTML for each named step of a function that has a twin, or is the
    gradient of one."""
    if name.endswith("_backward"):
        steps = gradients_of(name.removesuffix("_backward"))
    elif name in {twin.name for twin in find_twins()}:
        steps = steps_of(name)
    else:
        return {}
    return {
        step: html_of(comparison, exact, digits_of(name))
        for step, (comparison, exact) in steps.items()
    }


def html_of(comparison: Comparison, exact, digits: int = DIGITS) -> str:
    """A step's value and how it was checked."""
    return tables(comparison.ours, digits) + checked(comparison, exact)


def tables(value, digits: int = DIGITS) -> str:
    """An array as a table of numbers; of more axes, one for each index.

    A named tuple's fields come one after the other, under their names, and
    so do those of several.
    """
    if hasattr(value, "_fields"):
        return "".join(map(field, value._fields, value))
    if isinstance(value, tuple | list) and hasattr(
        next(iter(value), 0), "_fields"
    ):
        return "".join(map(tables, value))
    if not isinstance(value, np.ndarray | np.generic):
        return f'<p class="plain">{escape(shortened(repr(value)))}</p>'
    array = np.asarray(value)
    size = " × ".join(map(str, array.shape)) or "one number"
    if not array.size:
        return f'<p class="size">{size}: nothing</p>'
    rows = array.shape[-2:] if array.ndim > 1 else (1, array.size)
    matrices = array.reshape(-1, *rows)[:MOST_TABLES]
    shown = "".join(table(matrix, digits) for matrix in matrices)
    return f'<p class="size">{size}</p><div class="tables">{shown}</div>'


def field(name: str, value) -> str:
    """One field of a named tuple."""
    return f'<p class="size">{escape(name)}</p>{tables(value)}'


def table(matrix: np.ndarray, digits: int = DIGITS) -> str:
    """Rows of numbers; the darker the ground, the larger the number."""
    largest = largest_of(matrix)
    rows = []
    for row in matrix[:MOST_ROWS]:
        cells = [
            cell(number, largest, digits) for number in row[:MOST_COLUMNS]
        ]
        more = "<td>…</td>" if len(row) > MOST_COLUMNS else ""
        rows.append(f"<tr>{''.join(cells)}{more}</tr>")
    if len(matrix) > MOST_ROWS:
        rows.append("<tr><td>…</td></tr>")
    return f'<table class="heat">{"".join(rows)}</table>'


def largest_of(matrix: np.ndarray) -> float:
    """The largest finite magnitude; 1 where there is none."""
    if not (is_float_dtype(matrix.dtype) or matrix.dtype.kind in "iu"):
        return 1.0
    magnitudes = np.abs(matrix[np.isfinite(matrix)])
    return float(magnitudes.max(initial=0)) or 1.0


def cell(number, largest: float, digits: int = DIGITS) -> str:
    """One number: its text, its share of the largest, its sign."""
    if isinstance(number, np.bool_):
        text = "yes" if number else "no"
        share = float(number)
    else:
        text = short(number, digits)
        share = float(abs(number)) / largest
    share = min(share, 1.0) if np.isfinite(share) else 0.0
    sign = (
        ' class="minus"'
        if not isinstance(number, np.bool_) and (number < 0)
        else ""
    )
    return (
        f'<td{sign} style="--share:{round(share, 2):g}" '
        f'title="{escape(repr(number.item()))}">{text}</td>'
    )


def short(number, digits: int = DIGITS) -> str:
    """A number in a few digits, with a true minus sign.

    >>> short(np.int64(7)), short(np.float64(1 / 3))
    ('7', '0.333')
    """
    if is_float_dtype(number.dtype):
        number = float(number)  # bfloat16 has no format of its own
        text = "∞" if np.isposinf(number) else f"{number:.{digits}g}"
        text = "-∞" if np.isneginf(number) else text
    else:
        text = str(number)
    return text.replace("-", MINUS)


def checked(comparison: Comparison, exact) -> str:
    """What the sides differ by, what is allowed, and the exact value."""
    if not is_float(comparison.ours):
        return '<p class="check">equal</p>'
    difference = comparison.difference
    apart = f"differ by {difference:.1g}" if difference else "equal"
    lines = [f"{apart}; rounding allows {comparison.bound:.1g}"]
    if isinstance(exact, Bounded) and comparison.ours.size:
        lines.append(exact_there(comparison, exact))
    return f'<p class="check">{"<br>".join(lines)}</p>'


def exact_there(comparison: Comparison, exact) -> str:
    """The exact value of the entry at which the sides differ most; of a
    half, of which they mostly are equal, where most was lost."""
    import mpmath

    at, ours = comparison.at, np.asarray(comparison.ours)
    value, lost = np.asarray(exact.value), ""
    if is_half(ours.dtype):
        off = np.abs(ours.astype(float) - value.astype(float))
        at = np.unravel_index(np.argmax(off), off.shape)
        at = tuple(map(int, at))
        lost = f", off by {off[at]:.1g}" if off[at] else ""
    number = value[at] if at else value.item()
    place = f" at {list(at)}".replace(", ", ",\xa0") if at else ""
    with mpmath.workdps(DIGITS_OF_EXACT):
        digits = mpmath.nstr(mpmath.mpf(number), SHOWN_OF_EXACT)
    return f"exactly {digits.replace('-', MINUS)}{place}{lost}"
