"""Heat tables with names: a tensor's numbers, its rows and columns named.

The cells are those of the steps (`values.py`). What is too large to read
is cut, and the cut is said.
"""

from collections.abc import Sequence
from fractions import Fraction
from html import escape
from itertools import islice

from numpy import ndarray as Array

from .values import cell, largest_of

MOST_ROWS, MOST_COLUMNS, MOST_TABLES = 12, 12, 4


def heat(
    array: Array,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    names: Sequence[str] = (),
    axes: tuple[str, str] = ("row", "column"),
) -> str:
    """An array as tables, one for each matrix, with what was cut off.

    `rows` and `columns` are the names of the last two axes, `names` those
    of the matrices before; numbers from 0 stand where there are none.
    `axes` are words for the last two axes.
    """
    size = array.shape[-2:] if array.ndim > 1 else (1, array.size)
    matrices = array.reshape(-1, *size)
    largest = largest_of(array)
    shown = "".join(
        matrix_of(matrix, names_of(rows, size[0]), columns, name, largest)
        for name, matrix in zip(
            names_of(names, len(matrices), len(matrices) > 1),
            matrices[:MOST_TABLES],
            strict=False,
        )
    )
    return (
        '<div class="tables named" role="group" tabindex="0" '
        f'aria-label="{escape(said(array.shape, names))}">{shown}</div>'
        f"{cut(len(matrices), size, axes)}"
    )


def beside(
    tables: dict[str, Array], rows: dict[str, Sequence[str]], **more
) -> str:
    """Several matrices with a name and rows of their own, in one line."""
    shown = "".join(
        heat(matrix[None], rows[name], names=[name], **more)
        for name, matrix in tables.items()
    )
    return f'<div class="tables">{shown}</div>'


def matrix_of(
    matrix: Array,
    rows: Sequence[str],
    columns: Sequence[str],
    name: str,
    largest: float,
) -> str:
    """One matrix, with a head for each row and each column."""
    heads = names_of(columns, matrix.shape[1])
    top = "".join(
        f'<th scope="col">{escape(head)}</th>'
        for head in islice(heads, MOST_COLUMNS)
    )
    lines = "".join(
        f'<tr><th scope="row">{escape(row)}</th>'
        + "".join(cell(number, largest) for number in numbers)
        + "</tr>"
        for row, numbers in zip(
            rows, matrix[:MOST_ROWS, :MOST_COLUMNS], strict=False
        )
    )
    caption = f"<caption>{escape(name)}</caption>" if name else ""
    return (
        f'<table class="heat">{caption}<thead><tr><td></td>{top}</tr>'
        f"</thead><tbody>{lines}</tbody></table>"
    )


def names_of(
    names: Sequence[str], count: int, wanted: bool = True
) -> Sequence[str]:
    """The names, or the numbers from 0, or nothing."""
    return names or [str(index) * wanted for index in range(count)]


def said(shape: Sequence[int], names: Sequence[str]) -> str:
    size = " by ".join(map(str, shape))
    return f"{', '.join(names)}: {size} numbers" if names else size


def cut(matrices: int, size: tuple[int, int], axes: tuple[str, str]) -> str:
    """What of the array is not shown, in words; nothing if all is.

    >>> cut(1, (11, 32), ("token", "feature"))
    '<p class="cut">Shown: the first 12 of 32 features.</p>'
    >>> cut(1, (11, 8), ("token", "feature"))
    ''
    """
    parts = [
        f"the first {most} of {count} {axis}s"
        for axis, count, most in (
            ("table", matrices, MOST_TABLES),
            (axes[0], size[0], MOST_ROWS),
            (axes[1], size[1], MOST_COLUMNS),
        )
        if count > most
    ]
    if not parts:
        return ""
    return f'<p class="cut">Shown: {", ".join(parts)}.</p>'


def fractions(array: Array, most: int = 100) -> str:
    """A row of fractions as a pencil writes them.

    >>> fractions(np.array([1 / 7, 2 / 7, 4 / 7]))
    '1/7, 2/7, 4/7'
    """
    return ", ".join(
        str(Fraction(value).limit_denominator(most)) for value in array
    )
