"""Lines and pictures: which of many weights are drawn, and where."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from .cases import script as script

MATRIX = "{ weights: new Float32Array(weights), queries, keys }"
MATRICES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements={"min_value": -1, "max_value": 1},
    fill=st.nothing(),
)


def as_matrix(weights) -> dict:
    rows, columns = weights.shape
    return {
        "weights": weights.ravel().tolist(),
        "queries": [0] * rows,
        "keys": [0] * columns,
    }


@given(MATRICES, st.floats(0, 1), st.integers(1, 90), st.data())
def test_lines_are_the_strongest_and_end_inside(
    script, weights, threshold, most, data
):
    rows, columns = weights.shape
    row = data.draw(st.none() | st.integers(0, rows - 1))
    column = data.draw(st.none() | st.integers(0, columns - 1))
    chosen = {"query": row, "key": column}
    focus = {side: at for side, at in chosen.items() if at is not None}
    drawn = script(
        f"linesOf({MATRIX}, rule, most, focus)",
        **as_matrix(weights),
        rule={"lines": "least", "threshold": threshold},
        most=most,
        focus=focus,
    )
    weights = weights.astype(np.float64)  # as the script compares them
    strong = (abs(weights) >= threshold) & (weights != 0)
    if focus:  # its row and its column
        rows_at, columns_at = np.indices(weights.shape)
        strong &= (rows_at == row) | (columns_at == column)
    lines = drawn["lines"]
    assert drawn["count"] == strong.sum()
    assert len(lines) == min(most, strong.sum())
    ends = {(line["row"], line["column"]) for line in lines}
    assert len(ends) == len(lines)
    assert ends <= {*zip(*np.nonzero(strong), strict=True)}
    assert all(
        weights[line["row"], line["column"]] == line["weight"]
        for line in lines
    )
    sizes = [abs(line["weight"]) for line in lines]
    assert sizes == sorted(sizes)  # the weakest below the others
    left = [
        abs(weights[at])
        for at in zip(*np.nonzero(strong), strict=True)
        if at not in ends
    ]
    if left:  # chosen by counting in 256 bins
        assert max(left) <= min(sizes) + 1 / 255 + 1e-6


@given(MATRICES, st.integers(1, 5))
def test_the_strongest_come_first(script, weights, count):
    lines = script(
        f"strongest({MATRIX}, count)", **as_matrix(weights), count=count
    )
    sizes = np.sort(abs(weights[weights != 0]))[::-1][:count]
    assert [abs(line["weight"]) for line in lines] == sizes.tolist()


@given(MATRICES, st.integers(1, 10))
def test_a_smaller_picture_keeps_the_farthest_of_each_block(
    script, weights, size
):
    rows, columns = weights.shape
    picture = script(
        "(({ numbers, rows, columns }) => ({ rows, columns, numbers: "
        "Array.from(numbers) }))(pooled(weights, rows, columns, size))",
        weights=weights.ravel().tolist(),
        rows=rows,
        columns=columns,
        size=size,
    )
    few = min(rows, size), min(columns, size)
    assert (picture["rows"], picture["columns"]) == few
    block = [
        np.arange(side) * less // side
        for side, less in zip((rows, columns), few, strict=True)
    ]
    for at, number in enumerate(picture["numbers"]):
        row, column = divmod(at, few[1])
        part = weights[block[0] == row][:, block[1] == column]
        assert abs(number) == abs(part).max()
        assert number in part


def test_rows_of_many_tokens_are_lower_never_higher(script):
    heights = script(
        "Array.from({ length: 513 }, (_, tokens) => rowHeight(tokens))"
    )
    assert all(more <= few for few, more in pairwise(heights))
    assert heights[-1] >= 16  # pixels, to be pointed at


@pytest.mark.parametrize(
    ("heads", "width", "columns"),
    [
        *((12, 1300, 12), (12, 976, 12), (12, 700, 6), (12, 336, 4)),
        *((9, 900, 9), (9, 336, 3), (7, 336, 4), (2, 336, 2), (1, 336, 1)),
        (16, 1000, 8),
    ],
)
def test_columns_of_thumbnails_fit_the_heads(script, heads, width, columns):
    call = "columnsFor(heads, width)"
    assert script(call, heads=heads, width=width) == columns


@given(MATRICES, st.sampled_from(["five", "half"]))
@example(np.ones((1, 2), "float32"), "half")  # one is just enough
def test_lines_of_each_query_are_its_strongest(script, weights, lines):
    """No row is left out; ties may be broken in any way."""
    drawn = script(
        f"linesOf({MATRIX}, rule, 1000)",
        **as_matrix(weights),
        rule={"lines": lines, "threshold": 1},
    )
    sizes = [[] for _ in weights]
    for line in drawn["lines"]:
        size = abs(weights[line["row"], line["column"]])
        sizes[line["row"]].append(float(size))
    for row, shown in zip(
        abs(weights.astype(np.float64)), sizes, strict=True
    ):
        strongest = np.sort(row[row > 0])[::-1]
        if lines == "five":
            expected = strongest[:5]
        else:
            before = np.cumsum(strongest) - strongest
            expected = strongest[before < strongest.sum() / 2]
        assert sorted(shown, reverse=True) == expected.tolist()
    assert drawn["count"] == sum(map(len, sizes))
