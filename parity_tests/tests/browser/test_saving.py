"""What a browser saves: pictures, and Python's numbers."""

from io import BytesIO
from math import sqrt
from xml.etree import ElementTree

import numpy as np
import pytest

from bert_viz.measures.metric_table import metric_table
from parity_tests.tests.page.cases import D_HEAD, WORDS

from .page import ONE, STEPS, VIEWS, eventually, rows_of, saved
from .page import browser as browser
from .page import folder as folder
from .page import opened as opened

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_saved_as_pictures(opened, view):
    from PIL import Image

    tab = opened("one", f"view={view}&several=1&heads=0,2&query=3")
    png = saved(tab, "png", by_keyboard=view == "head")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    image = Image.open(BytesIO(png)).convert("RGB")
    assert len(image.getcolors(2**24)) > 9
    svg = ElementTree.fromstring(saved(tab, "svg", view == "head"))
    drawn = [one.tag.split("}")[1] for one in svg.iter()]
    assert {*drawn} <= {
        *("svg", "rect", "text", "line", "polygon", "image")
    }
    assert len(drawn) > 5
    names = {name for one in svg.iter() for name in one.attrib}
    assert not any(name.startswith("on") for name in names)
    pictures = [one.get("href") for one in svg.iter() if one.get("href")]
    assert all(one.startswith("data:image/png;") for one in pictures)
    assert float(svg.get("width")) == pytest.approx(image.width / 2, abs=1)


def test_saved_numbers_are_pythons(opened):
    tab = opened("one", "view=model&sort=distance")
    found = metric_table(ONE).values
    rows = rows_of(saved(tab, "csv", by_keyboard=True))
    assert len(rows) == ONE.layers * ONE.heads
    for row in rows:
        at = int(row["layer"]), int(row["head"])
        for name, values in found.items():
            assert row[name] == f"{values[at]:.6f}"

    tab = opened("one", "view=head&layer=1&several=1&heads=1,2")
    rows = rows_of(saved(tab, "csv"))
    assert len(rows) == 2 * 9 * 9
    for row in rows:
        at = int(row["query place"]), int(row["key place"])
        head = int(row["head"])
        assert (row["query"], row["key"]) == (WORDS[at[0]], WORDS[at[1]])
        assert row["weight"] == f"{np.float32(STEPS[1, head][at]):.6f}"
        apart = abs(float(row["weight"]) - ONE.weights[1, head][at])
        assert apart <= float(row["error"]) + 1e-6

    tab = opened("one", "view=metrics")
    rows = rows_of(saved(tab, "csv"))
    for row in rows:
        values = found[row["metric"]]
        at = int(row["layer"]), int(row["head"])
        assert row["value"] == f"{values[at]:.6f}"
    assert len(rows) == len(found) * ONE.layers * ONE.heads


def test_every_number_of_the_arithmetic_is_saved(opened):
    tab = opened("one", "view=neuron&layer=1&heads=2&query=4")
    rows = rows_of(saved(tab, "csv"))
    arrays = ONE.queries, ONE.keys, ONE.values
    q, k, v = (array[1, 2].astype(np.float64) for array in arrays)
    q = q[4]

    def found(step):
        return [float(row["number"]) for row in rows if row["step"] == step]

    sums = np.cumsum(q * k, axis=-1)[:, -1]
    for step, expected in {
        "query": q,
        "key": k,
        "query times key": q * k,
        "sum": sums,
        "score": sums / sqrt(D_HEAD),
        "value": v,
    }.items():
        np.testing.assert_array_equal(found(step), expected.ravel(), step)
    weights = np.array(found("weight"))
    np.testing.assert_array_equal(
        found("weight times value"), (weights[:, None] * v).ravel()
    )
    output = np.cumsum(weights[:, None] * v, axis=0)[-1]
    np.testing.assert_array_equal(found("output"), output)
    assert len(rows) == sum(
        (D_HEAD * 2, 9 * D_HEAD * 4, 9 * 3)  # vectors, matrices, numbers
    )


def test_where_there_is_nothing_to_draw_that_is_said(opened):
    tab = opened("alone", "view=neuron")
    for kind in ("svg", "png"):
        tab.click(f'[data-save="{kind}"]')
        message = "There is nothing to draw here."
        eventually(tab, lambda: tab.inner_text("#save-message"), message)


def test_what_is_not_shown_is_not_saved(opened):
    tab = opened("small", "view=neuron&text=difference")
    assert "choose the first or the second" in tab.inner_text(
        "#view-neuron"
    )
    downloads = []
    tab.on("download", lambda one: downloads.append(one))
    said = {"png": "nothing", "svg": "nothing", "csv": "no numbers"}
    for kind, word in said.items():
        tab.click(f'[data-save="{kind}"]')
        eventually(
            tab,
            lambda word=word: word in tab.inner_text("#save-message"),
            True,
        )
    assert not downloads


def test_a_filter_says_how_what_is_left_is_laid_out(opened):
    tab = opened("one", "view=model&least=2&sort=entropy")
    assert "by entropy, the most first, at least 2" in tab.inner_text(
        "#view-model"
    )
    tab = opened("one", "view=model")
    assert "a row for each layer" in tab.inner_text("#view-model")
