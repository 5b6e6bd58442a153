"""Saving in a browser: pictures, and numbers that equal Python's."""

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
    drawn = [part.tag.split("}")[1] for part in svg.iter()]
    assert {*drawn} <= {
        *("svg", "rect", "text", "line", "polygon", "image")
    }
    assert len(drawn) > 5
    names = {name for part in svg.iter() for name in part.attrib}
    assert not any(name.startswith("on") for name in names)
    links = [part.get("href") for part in svg.iter() if part.get("href")]
    assert all(link.startswith("data:image/png;") for link in links)
    assert float(svg.get("width")) == pytest.approx(image.width / 2, abs=1)


def test_saved_numbers_equal_pythons(opened):
    tab = opened("one", "view=model&sort=distance")
    metrics = metric_table(ONE).values
    rows = rows_of(saved(tab, "csv", by_keyboard=True))
    assert len(rows) == ONE.layers * ONE.heads
    for row in rows:
        at = int(row["layer"]), int(row["head"])
        for name, values in metrics.items():
            assert row[name] == f"{values[at]:.6f}"

    tab = opened("one", "view=head&layer=1&several=1&heads=1,2")
    rows = rows_of(saved(tab, "csv"))
    assert len(rows) == 2 * 9 * 9
    for row in rows:
        at = int(row["query position"]), int(row["key position"])
        head = int(row["head"])
        assert (row["query"], row["key"]) == (WORDS[at[0]], WORDS[at[1]])
        assert row["weight"] == f"{np.float32(STEPS[1, head][at]):.6f}"
        apart = abs(float(row["weight"]) - ONE.weights[1, head][at])
        assert apart <= float(row["error"]) + 1e-6

    tab = opened("one", "view=metrics")
    rows = rows_of(saved(tab, "csv"))
    for row in rows:
        values = metrics[row["metric"]]
        at = int(row["layer"]), int(row["head"])
        assert row["value"] == f"{values[at]:.6f}"
    assert len(rows) == len(metrics) * ONE.layers * ONE.heads


def test_every_number_of_the_neuron_view_is_saved(opened):
    tab = opened("one", "view=neuron&layer=1&heads=2&query=4")
    rows = rows_of(saved(tab, "csv"))
    arrays = ONE.queries, ONE.keys, ONE.values
    q, k, v = (array[1, 2].astype(np.float64) for array in arrays)
    q = q[4]

    def saved_step(step):
        return [float(row["number"]) for row in rows if row["step"] == step]

    dots = np.cumsum(q * k, axis=-1)[:, -1]
    for step, expected in {
        "query": q,
        "key": k,
        "query times key": q * k,
        "dot product": dots,
        "score": dots / sqrt(D_HEAD),
        "value": v,
    }.items():
        numbers = saved_step(step)
        np.testing.assert_array_equal(numbers, expected.ravel(), step)
    weights = np.array(saved_step("weight"))
    np.testing.assert_array_equal(
        saved_step("weight times value"), (weights[:, None] * v).ravel()
    )
    output = np.cumsum(weights[:, None] * v, axis=0)[-1]
    np.testing.assert_array_equal(saved_step("output"), output)
    assert len(rows) == sum(
        (D_HEAD * 2, 9 * D_HEAD * 4, 9 * 3)  # vectors, matrices, numbers
    )


def test_saving_says_that_there_is_nothing_to_draw(opened):
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
    tab.on("download", lambda download: downloads.append(download))
    messages = {"png": "nothing", "svg": "nothing", "csv": "no numbers"}
    for kind, word in messages.items():
        tab.click(f'[data-save="{kind}"]')
        eventually(
            tab,
            lambda word=word: word in tab.inner_text("#save-message"),
            True,
        )
    assert not downloads


def test_the_note_says_how_heads_are_sorted_and_filtered(opened):
    tab = opened("one", "view=model&least=2&sort=entropy")
    assert "sorted by entropy, largest first, at least 2" in tab.inner_text(
        "#view-model"
    )
    tab = opened("one", "view=model")
    assert "one row for each layer" in tab.inner_text("#view-model")
