"""Colours, dashes and marks: they can be told apart, by everyone."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_viz.page import file as page

from .cases import ATTENTION, CAUSAL, PADDED, state_of
from .cases import script as script


def luminance(colour) -> float:
    """Relative luminance (WCAG 2.2)."""
    share = np.array(colour) / 255
    linear = np.where(
        share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4
    )
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(colour, other) -> float:
    """Contrast ratio (WCAG 2.2)."""
    less, more = sorted([luminance(colour), luminance(other)])
    return (more + 0.05) / (less + 0.05)


def from_hex(text: str) -> list[int]:
    return [*bytes.fromhex(text.removeprefix("#"))]


def test_more_weight_is_brighter_at_every_step(script):
    ramp = script(
        "Array.from({ length: 256 }, (_, step) =>"
        "colourOfWeight((step / 255) ** 2))"
    )
    lights = [luminance(colour) for colour in ramp]
    assert all(less <= more for less, more in pairwise(lights))
    assert len({*lights}) >= 250  # two may be rounded to the same


@given(st.floats(0, 1))
def test_a_weights_colour_is_viridis_at_its_square_root(script, weight):
    from matplotlib import colormaps

    expected = 255 * np.array(colormaps["viridis"](np.sqrt(weight))[:3])
    colour = script("colourOfWeight(weight)", weight=weight)
    # Seventeen points, interpolated: a difference that nobody sees.
    assert abs(colour - expected).max() <= 6


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_more_and_less_are_as_far_from_the_middle(script, theme):
    sizes = np.linspace(0, 1, 101)
    less, more = (
        np.array(
            script(
                "sizes.map((size) => colourOfDifference(size, theme))",
                sizes=(sign * sizes).tolist(),
                theme=theme,
            ),
            float,
        )
        for sign in (-1, 1)
    )
    middle = more[0]
    along = []
    for side in (less, more):
        way = side[-1] - middle
        share = (side - middle) @ way / (way @ way)
        assert (np.diff(share) >= 0).all()
        assert share[-1] == 1
        along.append(share)
    # A step of the ramp is 1/127.5; a channel is rounded.
    assert abs(along[0] - along[1]).max() < 2 / 127.5
    # The ends differ from the middle, and from each other by hue.
    assert contrast(less[-1], middle) > 3
    assert contrast(more[-1], middle) > 3
    assert less[-1][0] > less[-1][2]
    assert more[-1][2] > more[-1][0]


@pytest.mark.parametrize(("theme", "at"), [("light", 0), ("dark", 1)])
def test_each_head_stands_out_from_the_ground(script, theme, at):
    style = page.page_file("style.css")
    ground = from_hex(re.findall(r"--ground: (#\w{6});", style)[at])
    colours = script(
        "Array.from({ length: 12 }, (_, h) => colourOfHead(h, theme))",
        theme=theme,
    )
    assert len({*colours}) == 12
    for colour in colours:
        assert contrast(from_hex(colour), ground) >= 3, colour


def test_twelve_heads_have_twelve_dashes_and_twelve_marks(script):
    marks = script("Array.from({ length: 144 }, (_, h) => markOf(h))")
    shapes = [(str(mark["corners"]), mark["filled"]) for mark in marks]
    dashes = [str(mark["dash"]) for mark in marks]
    names = [mark["name"] for mark in marks]
    assert len({*shapes[:12]}) == len({*names[:12]}) == 12
    assert len({*dashes[:12]}) == 12
    both = [*zip(shapes, dashes, strict=True)]
    assert len({*both}) == 144


@pytest.mark.parametrize("sign", [1, -1])
def test_a_picture_has_the_colour_of_each_number(script, sign):
    numbers = sign * np.array([[0, 0.25, 1], [0.5, 0.01, 0.09]])
    picture = script(
        "(({ bytes, width, height }) => ({ width, height, bytes: "
        "Array.from(bytes) }))(pixelsOf({ numbers, rows: 2, columns: 3 }, "
        "signed, 'light'))",
        numbers=numbers.ravel().tolist(),
        signed=sign < 0,
    )
    zoom = picture["width"] // 3
    shape = picture["height"], picture["width"], 4
    pixels = np.array(picture["bytes"]).reshape(shape)
    of = (
        "colourOfWeight(n)" if sign > 0 else "colourOfDifference(n,'light')"
    )
    for (row, column), number in np.ndenumerate(numbers):
        cell = pixels[row * zoom : (row + 1) * zoom]
        cell = cell[:, column * zoom : (column + 1) * zoom]
        assert cell[0, 0].tolist() == [*script(of, n=float(number)), 255]
        hole = cell[zoom // 2, zoom // 2].tolist() != cell[0, 0].tolist()
        assert hole == (number < 0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_masked_cell_looks_like_no_weight(script, theme):
    """Neither 0 nor any other; in both themes."""
    colours = script(
        "Array.from({ length: 256 }, (_, at) => colourOfWeight(at / 255))"
    )
    ground, line = hatch_of(script, theme)
    assert distance(ground, line) > 60
    for masked in (ground, line):
        assert min(distance(masked, colour) for colour in colours) > 60


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("signed", [False, True])
def test_a_masked_cell_is_hatched(script, theme, signed):
    """A difference of two texts may be grey, too; a pattern never is."""
    numbers, masked = [0, 0, 0, 0.05], [False, True, True, False]
    pixels = cells_of(script, numbers, masked, signed, theme)
    ground, line = hatch_of(script, theme)
    slope = np.add.outer(range(3), range(3)) % 3 == 2
    hatch = np.where(slope[..., None], line, ground)
    colour = "colourOfDifference" if signed else "colourOfWeight"
    for cell, number, is_masked in zip(
        pixels, numbers, masked, strict=True
    ):
        plain = script(f"{colour}({number}, '{theme}')")
        expected = hatch if is_masked else np.tile(plain, (3, 3, 1))
        assert np.array_equal(cell, expected)


def hatch_of(script, theme) -> tuple[list[int], list[int]]:
    """The colours of a masked cell: of its ground and of its lines."""
    return tuple(
        script(f"colourOfMasked(0, {y}, '{theme}')") for y in (0, 2)
    )


def cells_of(script, numbers, masked, signed, theme) -> np.ndarray:
    """The pixels of each cell of a matrix of 2 × 2."""
    matrix = {"numbers": numbers, "masked": masked, "rows": 2, "columns": 2}
    pixels = script(
        "Array.from(pixelsOf(matrix, signed, theme).bytes)",
        matrix=matrix,
        signed=signed,
        theme=theme,
    )
    rows = np.reshape(pixels, (2, 3, 2, 3, 4))[..., :3]
    return rows.swapaxes(1, 2).reshape(4, 3, 3, 3)


def distance(first, second) -> float:
    return float(np.linalg.norm(np.subtract(first, second)))


def test_cells_are_masked_where_python_says_so(script):
    text = {"causal": True, "padding": [False, False, True]}
    units = [{"positions": [position]} for position in range(3)]
    cells = script(
        "maskedBetween(text, units, units)", text=text, units=units
    )
    expected = ~(np.tri(3, dtype=bool) & [True, True, False])
    assert cells == expected.ravel().tolist()
    word = [{"positions": [0, 1]}, {"positions": [2]}]
    cells = script("maskedBetween(text, word, word)", text=text, word=word)
    assert cells == [False, True, False, True]


def test_few_cells_are_masked_where_they_hide_all(script):
    matrix = {
        "masked": [column > 1 for _ in range(4) for column in range(4)],
        "queries": [0] * 4,
        "keys": [0] * 4,
    }
    few = script(
        "pooledMatrix(matrix, new Array(16).fill(0), 2).masked",
        matrix=matrix,
    )
    assert few == [False, True, False, True]


@pytest.mark.parametrize("attention", [CAUSAL, PADDED, ATTENTION])
def test_a_mask_is_found_once_for_what_is_shown(script, attention):
    script.hold(attention)
    for changes in ({}, {"special": False}, {"words": True}, {}):
        both = script(
            "(([panel]) => { const { masked, queries, keys } ="
            " matrixOf(panel, 0, 1, options);"
            " return [masked, maskedBetween(panel.text, queries, keys),"
            " masked === matrixOf(panel, 1, 0, options).masked]; })"
            "(panelsOf(data, 'first'))",
            options=state_of(**changes),
        )
        assert both[0] == both[1]
        assert both[2]
        assert bool(both[0]) == (not attention.mask.all())
