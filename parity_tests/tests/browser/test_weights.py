"""The weights and heads that a browser shows equal Python's."""

import numpy as np
import pytest

from bert_viz.measures.metric_table import metric_table
from bert_viz.measures.patterns import heads_of, named_heads
from bert_viz.page.packing import pack_weights, unpack
from bert_viz.words import joined
from parity_tests.tests.page.cases import SEGMENTS, WORDS, in_words

from .page import (
    ALONE,
    LONG,
    ONE,
    PAIRED,
    STEPS,
    eventually,
    expect_table,
    read,
    table,
    texts,
)
from .page import browser as browser
from .page import folder as folder
from .page import opened as opened

pytestmark = pytest.mark.browser

PIXELS = """(canvas) => {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, data: Array.from(data) };
}"""


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (2, 3)])
def test_the_table_has_the_weights(opened, layer, head):
    tab = opened("one", f"view=head&layer={layer}&heads={head}")
    expect_table(tab, ONE.weights[layer, head])
    assert table(tab, "weights") == [
        [token, *map(in_words, row)]
        for token, row in zip(WORDS, STEPS[layer, head], strict=True)
    ]


def test_words_special_tokens_and_segments_are_as_in_python(opened):
    tab = opened("one", "view=head&words=1&special=0")
    words = joined(ONE).without_special()
    assert texts(tab, ".column.key .token") == [*words.tokens]
    pieces = [1, 3, 1, 1, 1]
    expect_table(tab, words.weights[0, 0], pieces)
    assert "rows are not renormalised" in tab.inner_text("#notes")
    tab = opened("pair", "view=head&between=ba")
    rows, keys = SEGMENTS == 1, SEGMENTS == 0
    expect_table(tab, PAIRED.weights[0, 0][rows][:, keys])


@pytest.mark.parametrize("name", ["causal", "padded", "one"])
def test_a_masked_cell_has_no_number_in_the_table(opened, name):
    tab = opened(name, "view=head")
    tab.click("#table-details > summary")
    tab.wait_for_selector('#tables table[data-table="weights"]')
    cells = [row[1:] for row in table(tab, "weights")]
    masked = masked_cells(name, len(cells))
    assert [[cell == "—" for cell in row] for row in cells] == masked
    (caption,) = texts(tab, "#tables caption")
    assert caption.endswith("— is masked") == any(map(any, masked))


def masked_cells(name: str, tokens: int) -> list[list[bool]]:
    """Keys after the query, or the two tokens of padding at the end."""
    return [
        [
            {"causal": key > query, "padded": key >= 4}.get(name, False)
            for key in range(tokens)
        ]
        for query in range(tokens)
    ]


def test_with_many_tokens_each_query_has_its_strongest_keys(opened):
    tab = opened("long", "view=head")
    tab.click("#table-details > summary")
    tab.wait_for_selector('#tables table[data-table="weights"]')
    steps = unpack(pack_weights(LONG.weights))[0, 0]
    for row, cells in zip(steps, table(tab, "weights"), strict=True):
        order = np.sort(row)[::-1][:5]
        assert [read(cell.split()[1]) for cell in cells[1:]] == [
            round(float(number), 3) for number in order
        ]


@pytest.mark.parametrize("threshold", [0, 0.05, 0.3])
def test_lines_are_counted_and_the_strongest_drawn(opened, threshold):
    for name, attention in (("one", ONE), ("long", LONG)):
        tab = opened(name, f"view=head&threshold={threshold}")
        steps = unpack(pack_weights(attention.weights))[0, 0]
        many = int(((steps > 0) & (steps >= threshold)).sum())
        note = tab.inner_text("#view-head .host .note")
        noun = "weight" if many == 1 else "weights"
        start = f"{many} {noun} of at least {threshold:.2f}"
        assert note.startswith(start)
        assert ("3000 strongest are drawn" in note) == (many > 3000)
        assert (many > 3000) == (name == "long" and threshold == 0)


def test_every_query_has_lines_however_many_tokens_there_are(opened):
    """Of nearly equal weights none reaches a minimum that shows few."""
    tab = opened("long", "view=head")
    note = tab.inner_text("#view-head .host .note")
    assert note.startswith(f"{5 * 64} weights: the five strongest of each")
    tab.select_option("#lines", "half")
    steps = unpack(pack_weights(LONG.weights))[0, 0]
    rows = -np.sort(-steps, axis=-1)
    before = rows.cumsum(axis=-1) - rows
    half = rows.sum(axis=-1, keepdims=True) / 2
    many = int((before < half - 1e-6).sum())
    eventually(
        tab,
        lambda: tab.inner_text("#view-head .host .note").split(" of ")[0],
        f"{many} weights: the fewest that make up half",
    )


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (1, 2)])
def test_a_thumbnail_has_the_colour_of_each_weight(opened, layer, head):
    from matplotlib import colormaps

    tab = opened("one", "view=model")
    thumbnail = f'[data-layer="{layer}"][data-head="{head}"]'
    image = tab.eval_on_selector(f".thumbnail{thumbnail} canvas", PIXELS)
    shape = image["height"], image["width"], 4
    assert shape == (9, 9, 4)
    pixels = np.array(image["data"]).reshape(shape)
    viridis = colormaps["viridis"](np.sqrt(STEPS[layer, head]))
    assert abs(pixels - 255 * viridis).max() <= 6  # as `colours.js` has it


def test_heads_are_ordered_and_filtered_as_python_does(opened):
    tab = opened("one", "view=model&sort=distance")
    values = metric_table(ONE).values["distance"]
    order = np.argsort(-values, axis=None, kind="stable")
    heads = [np.unravel_index(index, values.shape) for index in order]

    def shown():
        return texts(tab, ".thumbnail .head-name")

    def named(chosen):
        return [
            f"L{layer} H{head}{in_words(values[layer, head], 2)}"
            for layer, head in chosen
        ]

    assert shown() == named(heads)
    least = float(np.median(values))
    tab.fill("#least", f"{least:.6f}")
    tab.keyboard.press("Enter")
    kept = [head for head in heads if values[head] >= round(least, 6)]
    eventually(tab, shown, named(kept))
    tab.check("#ascending")
    eventually(tab, shown, named(kept[::-1]))


def test_a_pattern_leaves_the_heads_that_have_it(opened):
    tab = opened("alone", "view=model")
    measured = metric_table(ALONE)
    for name in named_heads(measured):
        tab.select_option("#pattern", name)
        heads = sorted(heads_of(measured, name))
        expected = [f"L{layer} H{head}" for layer, head, _ in heads]
        shown = ".thumbnail .head-name"
        eventually(tab, lambda at=shown: texts(tab, at), expected)
