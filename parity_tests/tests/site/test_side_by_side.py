"""Side by side: rows, marks, equations, on a pair that is not ours."""

import ast
import re

import pytest
from sphinx.application import Sphinx

from study.site.side_by_side import imports
from study.site.side_by_side.aligning import aligned
from study.site.side_by_side.equations import equation_of
from study.site.side_by_side.functions import functions_of
from study.site.side_by_side.imports import files_behind
from study.site.side_by_side.mathml import mathml
from study.site.side_by_side.rendering import Known, Sides, html_of
from study.site.side_by_side.rows import rows_of
from study.site.side_by_side.tokens import as_html, marked, words_of
from study.site.side_by_side.unchanged import (
    checksums,
    code_of,
    is_unchanged,
)

LEFT = '''
"""A file."""

import numpy as np


def area(width, height):
    """The area.

    Of a rectangle.
    """
    # Sides are lengths.
    side = np.abs(width)
    product = side * height
    return product


def _helper():
    return 1
'''
RIGHT = """
import torch


class Area(torch.nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, width, height):
        side = torch.abs(width)
        doubled = side + side
        product = side * height
        return product
"""


def both():
    (left,), (right,) = functions_of(LEFT), functions_of(RIGHT)
    return left, right


def test_a_function_is_cut_into_statements_with_their_comments():
    left, right = both()
    assert (left.name, right.name) == ("area", "area")
    assert left.header == "def area(width, height):"
    assert left.sentence == "The area."
    assert [(s.name, s.code) for s in left.statements] == [
        ("side", "# Sides are lengths.\nside = np.abs(width)"),
        ("product", "product = side * height"),
        ("returns", "return product"),
    ]
    assert right.header == "def forward(self, width, height):"


def test_steps_of_one_name_stand_in_one_row():
    rows = rows_of(*both())
    names = [row.name for row in rows]
    assert names == ["side", "doubled", "product", "returns"]
    assert rows[1].left is None
    assert [row.is_same for row in rows] == [False, False, True, True]


def test_every_differing_token_is_marked_and_none_that_is_equal():
    left, right = "side = np.abs(width)", "side = torch.abs(width)"
    here, there = marked(left, right)
    assert [words_of(left)[i] for i in here] == ["np"]
    assert [words_of(right)[i] for i in there] == ["torch"]
    assert marked(left, left) == (set(), set())
    html = as_html(left, here, {"side"}, {"side": 3})
    assert re.findall("<mark>(.*?)</mark>", html) == ["np"]
    assert '<span data-name data-hue="3">side</span>' in html


@pytest.mark.parametrize(
    "code",
    [
        "y = f(\n    x,  # why\n    '<&>',\n)",
        "# first\n\nx = 1",
        "x = '''a\nb''' + c",
        "for x in y:\n    z = x",
    ],
)
def test_code_as_html_is_the_code(code):
    from html import unescape

    html = as_html(code, set(), set(), {})
    assert unescape(re.sub("<[^>]+>", "", html)) == code


def test_aligning_keeps_the_order_and_loses_nothing():
    pairs = aligned("abcd", "bxd")
    assert [i for i, _ in pairs if i is not None] == [0, 1, 2, 3]
    assert [j for _, j in pairs if j is not None] == [0, 1, 2]
    assert [p for p in pairs if None not in p] == [(1, 0), (3, 2)]


SYMBOLS = {"query": "Q", "key": "K", "weights": "A", "scores": "S"}
SYMBOLS |= {"x": "X", "query.shape[-1]": "d"}


@pytest.mark.parametrize(
    ("code", "latex"),
    [
        ("s = query @ key.swapaxes(-2, -1)", r"\text{s} = Q \, K^\top"),
        ("s = query @ key.transpose(-2, -1)", r"\text{s} = Q \, K^\top"),
        (
            "scores = s / sqrt(query.shape[-1])",
            r"S = \frac{\text{s}}{\sqrt{d}}",
        ),
        (
            "x = (a + b) * c",
            r"X = \left(\text{a} + \text{b}\right) "
            r"\odot \text{c}",
        ),
        (
            "x = a - (b - c)",
            r"X = \text{a} - \left(\text{b} - "
            r"\text{c}\right)",
        ),
        (
            "weights = softmax(scores)",
            r"A = \text{softmax}"
            r"\left(S\right)",
        ),
        (
            "x = linear_map(x, params.query)",
            r"X = \text{linear map}_{Q}\left(X\right)",
        ),
        ("x = mask[..., None, :, :]", r"X = \text{mask}"),
        ("d_scores = -d_some_sum", r"dS = -\text{d some sum}"),
        ("t = scores.sum(axis=-1, keepdims=True)", r"\text{t} = \sum_j S"),
    ],
)
def test_an_assignment_as_an_equation(code, latex):
    (statement,) = ast.parse(code).body
    assert (
        equation_of(statement, SYMBOLS, {"softmax", "linear_map"}) == latex
    )


@pytest.mark.parametrize(
    "code", ["x = x.reshape(2, 3)", "x, y = z", "x = [1]", "return_(x)"]
)
def test_what_has_no_usual_sign_has_no_equation(code):
    (statement,) = ast.parse(code).body
    assert equation_of(statement, SYMBOLS, set()) is None


def test_a_symbol_bears_the_name_of_its_variable():
    html = mathml(r"S = Q K^\top / \sqrt{d}", SYMBOLS, {"key": 1})
    named = re.findall(r'<\w+ data-name="([^"]+)"[^>]*>(\w)<', html)
    assert named[:3] == [("scores", "S"), ("query", "Q"), ("key", "K")]
    assert html.count("data-hue") == 1


def test_a_part_of_a_symbol_is_no_symbol():
    html = mathml("W_Q + Q", {"weight": "W_Q", "query": "Q"}, {})
    assert re.findall('data-name="([^"]+)"', html) == ["weight", "query"]


def test_lines_may_break_between_words_and_after_what_separates():
    html = mathml(r"\text{two words}(Q, \text{if } K)", {}, {})
    assert "<mtext>two words</mtext>" in html
    assert '<mo separator="true">,</mo>' in html
    assert "<mtext>if\xa0</mtext>" in html  # no space is lost at an end


def test_latex_that_does_not_parse_is_named():
    with pytest.raises(ValueError, match=r"LaTeX .* got 'x\^2\^3'"):
        mathml("x^2^3", {}, {})


def test_what_a_file_imports_from_its_package_is_behind_it(tmp_path):
    root = tmp_path / "pack"
    files = {
        "a.py": "from .b import f\nimport os\nfrom json import dumps\n",
        "b.py": "from .inner.c import g\n",
        "inner/c.py": "from ..d import h\nfrom .e import k\n",
        "d.py": "from pack.f import m\n",
        "inner/e.py": "from . import c\n",
        "f.py": "",
        "alone.py": "from . import b\n",
    }
    for name, source in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
    behind = files_behind(root / "a.py", root)
    names = {path.relative_to(root).as_posix() for path in behind}
    assert names == files.keys() - {"alone.py"}


def test_what_a_page_needs_of_another_file_is_its_code(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(LEFT, "utf-8")
    before = checksums(path, code_of)
    for change, same in (
        (("The area.", "An area."), True),
        (("# Sides are lengths.", "# Lengths."), False),
        (("side * height", "height * side"), False),
        (("def area(", "def area("), True),
        (("def area(", "def area(("), False),  # no Python
    ):
        path.write_text(LEFT.replace(*change), "utf-8")
        assert is_unchanged(path, before, code_of) == same, change
    path.unlink()
    assert not is_unchanged(path, before, code_of)


def known(sides):
    return Known(
        {"*": {"side": "s"}},
        {"side": 2},
        {"area": sides},
        {"area": "page.html#area"},
    )


def test_a_function_is_shown_whole(tmp_path):
    left, right = both()
    sides = Sides("area", {"Left": left, "Right": right})
    html = html_of(sides, {"side": "<b>7</b>"}, known(sides))
    assert html.count('<li class="step') == 4
    assert html.count("same in both") == 4  # two rows, seen and heard
    assert "<b>7</b>" in html
    assert '<template class="source">def area(width, height):' in html
    assert "class Area(torch.nn.Module):\n    def __init__" in html
    assert "step 2 of 4, doubled" in html
    assert '<mi data-name="side" data-hue="2">s</mi>' in html


def test_what_a_step_calls_can_be_opened_in_place():
    (caller,) = functions_of(
        "def room(a):\n    s = area(a, a)\n    return s\n"
    )
    left, right = both()
    sides = Sides("area", {"Left": left, "Right": right})
    html = html_of(Sides("room", {"Left": caller}), {}, known(sides))
    assert "Open <code>area</code> in place" in html
    assert '<a href="page.html#area">' in html
    assert html.count('<li class="step') == 2 + 4


def test_a_function_that_calls_itself_is_opened_once():
    (own,) = functions_of("def area(a):\n    s = area(a)\n    return s\n")
    sides = Sides("area", {"Left": own})
    html = html_of(sides, {}, known(sides))
    assert html.count("in place</summary>") == 1


# --- when a page is made again -------------------------------------------

INNER = (
    '"""Inner."""\n\n\ndef half(x):\n    """Half."""\n    return x / 2\n'
)
OUTER = (
    '"""Outer."""\n\nfrom .inner import half\n\n\n'
    'def quarter(x):\n    """Quarter."""\n    return half(half(x))\n'
)


@pytest.fixture
def read_anew(tmp_path, monkeypatch):
    """Build the pages of two files; return which of them were read."""
    for package in ("lefthand", "righthand"):
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").write_text("", "utf-8")
        (folder / "inner.py").write_text(INNER, "utf-8")
        (folder / "outer.py").write_text(OUTER, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "source"
    source.mkdir()
    for file, name in (("inner", "half"), ("outer", "quarter")):
        row = f"```{{side-by-side}} {file}.py {name}\n```"
        (source / f"{file}.md").write_text(f"# {name}\n\n{row}\n", "utf-8")
    toctree = "```{toctree}\ninner\nouter\n```"
    (source / "index.md").write_text(f"# All\n\n{toctree}\n", "utf-8")

    def build(file: str = "", *change: str) -> set[str]:
        if file:
            path = tmp_path / "lefthand" / file
            path.write_text(path.read_text("utf-8").replace(*change))
        imports.imported_by.cache_clear()  # each build is a process
        read = set()
        app = Sphinx(
            *(source, None, tmp_path / "html", tmp_path / "doctrees"),
            "html",
            confoverrides={
                "extensions": ["myst_parser", "study.site.side_by_side"],
                "html_math_renderer": "mathml",
                "side_by_side_packages": {
                    "Left": "lefthand",
                    "Right": "righthand",
                },
            },
            status=None,
            warningiserror=True,
        )
        app.connect("source-read", lambda _, name, text: read.add(name))
        app.build()
        return read

    return build


@pytest.mark.slow
def test_a_page_is_read_again_when_code_behind_it_changes(read_anew):
    assert read_anew() == {"index", "inner", "outer"}
    assert read_anew() == set()
    assert read_anew("inner.py", "Half.", "One half.") == {"inner"}
    assert read_anew("inner.py", "x / 2", "0.5 * x") == {"inner", "outer"}
    assert read_anew("outer.py", "half(half(x))", "half(x) / 2") == {
        "outer"
    }
    assert read_anew() == set()
