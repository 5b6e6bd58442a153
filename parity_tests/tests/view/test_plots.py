"""The plots of bert_viz: they show the numbers, and describe them."""

import doctest
import errno
import os
import subprocess
import sys
import warnings
from itertools import pairwise, product
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from bert_viz import from_arrays
from bert_viz.measures.head_map import head_map
from bert_viz.measures.links import links_between, links_from, links_to
from bert_viz.measures.metric_table import metric_table
from bert_viz.plots import describing, heat_map, saving, token_labels
from bert_viz.plots.difference import (
    plot_difference,
    plot_weight_difference,
)
from bert_viz.plots.head import plot_head
from bert_viz.plots.heads import plot_heads, png_of
from bert_viz.plots.links import plot_link, plot_links
from bert_viz.plots.map import plot_map
from bert_viz.plots.metrics import plot_metric
from bert_viz.plots.norms import plot_norms
from bert_viz.plots.rollout import plot_rollout
from bert_viz.plots.saving import save
from bert_viz.plots.tokens import plot_token, plot_tokens
from numpy_ref import files
from numpy_ref.layers import Linear
from parity_tests.tests.conftest import one_in

SVG = "{http://www.w3.org/2000/svg}"
WORDS = ("[CLS]", "the", "cat", "saw", "the", "[SEP]")
HOSTILE = (
    *("$x_1$", "</script>", "\u202eabc", "👩\u200d👩\u200d👧", "中"),
    *("x" * 10_000, " a b", "", "a\nb", "\ud800", "$", "\x00"),
)
SEEN = (
    *("$x_1$", "</script>", "\\u202eabc", "👩\u200d👩\u200d👧", "中"),
    *("x" * 19 + "…", "␣a␣b", '""', "a\\nb", "\\ud800", "$", "\\x00"),
)


def attention_of(tokens=WORDS, layers=2, heads=3, seed=0, **others):
    """Weights of random heads, sharp and broad, with values of 4."""
    generator = np.random.default_rng(seed)
    shape = layers, heads, len(tokens), len(tokens)
    weights = generator.random(shape) ** 4 + 1e-6
    outputs = tuple(
        Linear(generator.normal(size=(5, heads * 4)), np.zeros(5))
        for _ in range(layers)
    )
    return from_arrays(
        tokens,
        weights / weights.sum(axis=-1, keepdims=True),
        values=generator.normal(size=(*shape[:3], 4)),
        outputs=outputs,
        **others,
    )


ATTENTION = attention_of(about="six random heads")
OTHER = attention_of(
    ("[CLS]", "a", "cat", "saw", "the", "[SEP]"),
    seed=1,
    about="six random heads",
)
TABLE, OTHER_TABLE = metric_table(ATTENTION), metric_table(OTHER)

IN_AXES = {
    "heads": lambda attention, axes=None: plot_heads(attention, axes),
    "head": lambda attention, axes=None: plot_head(attention, 0, 0, axes),
    "from": lambda attention, axes=None: plot_token(
        attention, 0, "from", axes
    ),
    "to": lambda attention, axes=None: plot_token(attention, 0, "to", axes),
    "metric": lambda attention, axes=None: plot_metric(
        metric_table(attention), "confidence", axes
    ),
    "difference": lambda attention, axes=None: plot_difference(
        *(metric_table(attention),) * 2, "distance", axes
    ),
    "weights": lambda attention, axes=None: plot_weight_difference(
        attention, attention, 0, 0, axes
    ),
    "map": lambda attention, axes=None: plot_map(attention, axes),
    "rollout": lambda attention, axes=None: plot_rollout(
        attention, 0, axes
    ),
    "link": lambda attention, axes=None: plot_link(attention, 0, 0, axes),
}
IN_FIGURE = {
    "tokens": lambda attention, figure=None: plot_tokens(
        attention, [0], figure
    ),
    "norms": lambda attention, figure=None: plot_norms(
        attention, 0, 0, figure
    ),
    "links": lambda attention, figure=None: plot_links(
        attention, [0, 0], figure
    ),
}
ALL = IN_AXES | IN_FIGURE


def drawn(axes) -> np.ndarray:
    """The numbers of the only image, NaN where it has none."""
    (image,) = axes.images
    return image.get_array().filled(np.nan)


def look(axes) -> tuple:
    (image,) = axes.images
    return image.get_cmap().name, *image.get_clim()


def title_line(axes) -> str:
    """The title of an Axes, as one line."""
    return " ".join(axes.get_title().split())


def ticks(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


# --- what is drawn is what was measured ----------------------------------


def test_the_mosaic_has_each_weight_of_each_head():
    axes = plot_heads(ATTENTION)
    mosaic = drawn(axes)
    assert mosaic.shape == (2 * 6 + 1, 3 * 6 + 2)
    for layer, head in product(range(2), range(3)):
        square = mosaic[7 * layer :, 7 * head :][:6, :6]
        np.testing.assert_array_equal(
            square, ATTENTION.weights[layer, head]
        )
    between = mosaic.size - ATTENTION.weights.size
    assert np.isnan(mosaic).sum() == between
    assert np.isnan(mosaic[6]).all()
    assert np.isnan(mosaic[:, [6, 13]]).all()
    assert look(axes) == ("viridis", 0, 1)
    assert axes.images[0].to_rgba(np.nan)[3] == 0  # nothing is between
    assert axes.images[0].get_interpolation() == "nearest"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("head", "layer")
    assert ticks(axes.xaxis) == ["0", "1", "2"]
    assert list(axes.get_yticks()) == [2.5, 9.5]
    assert axes.yaxis.get_inverted()
    for words in ("six random heads", "6 tokens", ATTENTION.rows):
        assert words in title_line(axes)


def test_with_many_tokens_the_mosaic_shows_the_largest_weights():
    count = 131
    attention = attention_of(tuple("a" * count), 1, 2)
    mosaic = drawn(plot_heads(attention))
    side = 3
    dots = -(-count // side)
    for head, row, column in product(range(2), range(dots), range(dots)):
        rows = slice(side * row, side * row + side)
        columns = slice(side * column, side * column + side)
        assert (
            mosaic[row, head * (dots + 3) + column]
            == attention.weights[0, head, rows, columns].max()
        )
    axes = plot_heads(attention)
    assert "each dot: largest of 3 × 3" in title_line(axes)


def test_a_head_in_full():
    axes = plot_head(ATTENTION, 1, 2)
    weights = ATTENTION.weights[1, 2]
    np.testing.assert_array_equal(drawn(axes), weights)
    assert look(axes) == ("viridis", 0, 1)
    assert ticks(axes.xaxis) == ticks(axes.yaxis) == list(WORDS)
    assert axes.get_xlabel() == "to (key)"
    assert axes.get_ylabel() == "from (query)"
    assert "Layer 1, head 2" in title_line(axes)
    written = {text.get_position(): text for text in axes.texts}
    for (row, column), weight in np.ndenumerate(weights):
        assert written[column, row].get_text() == f"{weight:.2f}"


@pytest.mark.slow
def test_with_many_tokens_no_numbers_are_written():
    assert len(plot_head(attention_of("a" * 16), 0, 0).texts) == 256
    assert not plot_head(attention_of("a" * 17), 0, 0).texts
    small = Figure(figsize=(2, 1.5)).add_subplot()
    assert not plot_head(ATTENTION, 0, 0, small).texts


def luminance(rgb) -> float:
    """Relative luminance (WCAG 2.2)."""
    low, high = np.array(rgb) / 12.92, ((np.array(rgb) + 0.055) / 1.055)
    parts = np.where(np.array(rgb) <= 0.04045, low, high**2.4)
    return float(parts @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("colours", ["viridis", "RdBu_r"])
def test_numbers_are_legible_on_every_colour(colours):
    axes = Figure().add_subplot()
    image = heat_map.draw(axes, np.eye(2), 0, 1, colours)
    for value in np.linspace(0, 1, 101):
        behind = luminance(colormaps[colours](value)[:3])
        front = {"black": 0.0, "white": 1.0}[heat_map.ink(image, value)]
        light, dark = max(behind, front), min(behind, front)
        assert (light + 0.05) / (dark + 0.05) > 4.45


@pytest.mark.parametrize("token", [2, "cat", np.int64(2)])
def test_a_token_in_all_heads(token):
    for direction, other in (("from", "to (key)"), ("to", "from (query)")):
        axes = plot_token(ATTENTION, token, direction)
        rows = drawn(axes)
        for layer, head in product(range(2), range(3)):
            weights = ATTENTION.weights[layer, head]
            np.testing.assert_array_equal(
                rows[3 * layer + head],
                weights[2] if direction == "from" else weights[:, 2],
            )
        assert look(axes) == ("viridis", 0, 1)
        assert ticks(axes.xaxis) == list(WORDS)
        assert axes.get_xlabel() == other
        expected = f"Attention {direction} cat (token 2) in all heads"
        assert expected in title_line(axes)
        # A line between the layers, each of which has a label.
        assert [list(line.get_ydata()) for line in axes.lines] == [
            [2.5] * 2
        ]
        assert list(axes.get_yticks()) == [1, 4]


def test_several_tokens_are_seen_from_both_sides():
    figure = plot_tokens(ATTENTION, ["cat", 5])
    panels = [axes for axes in figure.axes if axes.images]
    expected = [
        ATTENTION.weights[:, :, 2],
        ATTENTION.weights[..., 2],
        ATTENTION.weights[:, :, 5],
        ATTENTION.weights[..., 5],
    ]
    for axes, weights in zip(panels, expected, strict=True):
        np.testing.assert_array_equal(drawn(axes), weights.reshape(6, 6))
        assert look(axes) == ("viridis", 0, 1)
    assert "six random heads" in figure.get_suptitle()


def test_links_are_the_weights_between_each_two_of_the_tokens():
    figure = plot_links(ATTENTION, ["cat", 5, 0])
    panels = [axes for axes in figure.axes if axes.images]
    ends = [(2, 5), (2, 0), (5, 2), (5, 0), (0, 2), (0, 5)]
    for axes, (query, key) in zip(panels, ends, strict=True):
        weights = ATTENTION.weights[..., query, key]
        np.testing.assert_array_equal(drawn(axes), weights)
        layer, head = divmod(int(weights.argmax()), 3)
        title = title_line(axes)
        assert title.startswith("Weight from ")
        assert f"(token {query}) to {WORDS[key]} (token {key})" in title
        largest = f"{weights.max():.2f}, layer {layer}, head {head}"
        assert title.endswith(f"largest: {largest}")


def test_a_link_to_a_later_token_of_a_causal_model_is_masked():
    lower = np.tril(ATTENTION.weights)
    rows = lower / lower.sum(axis=-1, keepdims=True)
    causal = from_arrays(WORDS, rows)
    assert links_between(causal, 1, 3) == []
    assert "masked: 0 in all" in title_line(plot_link(causal, 1, 3))
    assert "largest" in title_line(plot_link(causal, 3, 1))


def test_links_are_ranked_over_all_heads():
    from_cat = links_from(ATTENTION, 2)
    assert len(from_cat) == 6 * 3  # three others that are not special
    for layer, head, query, key, weight in from_cat:
        assert query == 2 != key
        assert weight == ATTENTION.weights[layer, head, 2, key]
    assert from_cat == sorted(from_cat, key=lambda link: -link.weight)
    to_cat = links_to(ATTENTION, 2)
    assert {link.key for link in to_cat} == {2}
    others = ATTENTION.weights[..., [1, 3, 4], 2]
    assert to_cat[0].weight == others.max()


@pytest.mark.parametrize("metric", TABLE.values)
def test_a_metric_of_all_heads(metric):
    values = TABLE.values[metric]
    axes = plot_metric(TABLE, metric)
    np.testing.assert_array_equal(drawn(axes), values)
    equal = TABLE.baselines[metric]
    unbounded = metric in ("effective keys", "distance")
    top = max(values.max(), equal) if unbounded else 1
    assert look(axes) == ("viridis", 0, top)
    bar = axes.images[0].colorbar
    assert bar.ax.lines[-1].get_ydata() == pytest.approx([equal] * 2)
    assert ("largest here" in bar.ax.get_ylabel()) == unbounded
    assert f"marks equal weights: {equal:.2g}" in title_line(axes)
    assert len(axes.texts) == values.size


def test_heads_with_a_pattern_are_outlined():
    weights = np.full((2, 2, 4, 4), 0.25)
    weights[1, 0] = np.eye(4)
    axes = plot_metric(metric_table(from_arrays("abcd", weights)), "self")
    (box,) = axes.patches
    x, y = box.get_xy()
    assert (round(x), round(y)) == (0, 1)
    assert not box.get_fill()
    assert "self at least 0.5" in title_line(axes)
    axes = plot_metric(
        metric_table(from_arrays("abcd", weights)), "entropy"
    )
    styles = {box.get_linestyle(): box.get_xy() for box in axes.patches}
    assert len(axes.patches) == 4
    assert [round(part) for part in styles[":"]] == [0, 1]
    assert "broad" in title_line(axes)
    assert "sharp" in title_line(axes)
    axes = plot_metric(
        metric_table(from_arrays("abcd", weights)), "confidence"
    )
    assert not axes.patches


def test_a_difference_is_the_second_minus_the_first():
    axes = plot_difference(TABLE, OTHER_TABLE, "entropy")
    expected = OTHER_TABLE.values["entropy"] - TABLE.values["entropy"]
    np.testing.assert_array_equal(drawn(axes), expected)
    most = abs(expected).max()
    assert look(axes) == ("RdBu_r", -most, most)
    assert "entropy: second text minus first" in title_line(axes)
    nothing = plot_difference(TABLE, TABLE, "entropy")
    assert look(nothing) == ("RdBu_r", -1, 1)
    assert {text.get_text() for text in nothing.texts} == {"0"}


def test_a_difference_of_weights_is_centred_on_0():
    axes = plot_weight_difference(ATTENTION, OTHER, 1, 0)
    expected = OTHER.weights[1, 0] - ATTENTION.weights[1, 0]
    np.testing.assert_array_equal(drawn(axes), expected)
    most = abs(expected).max()
    assert look(axes) == ("RdBu_r", -most, most)
    assert ticks(axes.xaxis)[:3] == ["[CLS]", "the → a", "cat"]


def test_the_map_has_a_marker_and_a_colour_for_each_layer():
    attention = attention_of(layers=3, heads=4)
    points, share = head_map(attention)
    axes = plot_map(attention)
    for dots, layer in zip(axes.collections, points, strict=True):
        np.testing.assert_array_equal(dots.get_offsets(), layer)
    markers = {
        dots.get_paths()[0].vertices.tobytes() for dots in axes.collections
    }
    colours = {tuple(dots.get_facecolor()[0]) for dots in axes.collections}
    assert len(markers) == len(colours) == 3
    assert f"{share:.0%} of the spread" in title_line(axes)
    legend = axes.get_legend().get_texts()
    assert [text.get_text() for text in legend] == ["0", "1", "2"]


def test_the_map_names_the_clearest_heads():
    weights = np.full((2, 2, 4, 4), 0.25)
    weights[1, 0] = np.eye(4)
    axes = plot_map(from_arrays("abcd", weights))
    bold = {
        text.get_text()
        for text in axes.texts
        if text.get_fontweight() == "bold"
    }
    assert "1.0" in bold
    assert "self 1.0" in title_line(axes)


@pytest.mark.parametrize(("layer", "up_to"), [(0, 0), (1, 1), (-1, 2)])
def test_the_rollout_of_a_layer(layer, up_to):
    attention = attention_of(layers=3)
    axes = plot_rollout(attention, layer)
    expected = np.eye(6)
    for mean in attention.weights.mean(axis=1)[: up_to + 1]:
        expected = (mean + np.eye(6)) / 2 @ expected
    np.testing.assert_allclose(drawn(axes), expected)
    assert look(axes) == ("viridis", 0, drawn(axes).max())
    assert ticks(axes.xaxis) == ticks(axes.yaxis) == list(WORDS)
    assert f"Attention rollout, layer 0 to {up_to}" in title_line(axes)


def test_weights_stand_beside_what_they_carry():
    figure = plot_norms(ATTENTION, 1, 2)
    left, right = (axes for axes in figure.axes if axes.images)
    weights = ATTENTION.weights[1, 2]
    part = ATTENTION.outputs[1].weight[:, 8:12]
    carried = [
        [
            np.linalg.norm(a * part @ value)
            for a, value in zip(row, ATTENTION.values[1, 2], strict=True)
        ]
        for row in weights
    ]
    np.testing.assert_array_equal(drawn(left), weights)
    np.testing.assert_allclose(drawn(right), carried)
    assert look(left) == ("viridis", 0, 1)
    assert look(right) == ("viridis", 0, drawn(right).max())
    assert ticks(left.yaxis) == ticks(right.yaxis) == list(WORDS)
    by_row = np.array(carried) / np.sum(carried, axis=1, keepdims=True)
    for axes, rows in ((left, weights), (right, by_row)):
        share = rows[:, [0, 5]].sum() / 6
        assert f"{share:.0%} on [CLS] and [SEP]" in title_line(axes)


def test_without_special_tokens_the_title_names_the_first_token():
    figure = plot_norms(attention_of(["", "the", "cat"]), 0, 0)
    assert '% on ""' in title_line(figure.axes[0])


# --- what is masked ------------------------------------------------------

EARLIER = np.tri(6)[None, None] / np.arange(1, 7)[:, None]
CAUSAL = from_arrays(WORDS, np.tile(EARLIER, (2, 3, 1, 1)))
# With its weights of 0, which nothing masks.
SEEN_AND_0 = from_arrays(WORDS, np.tile(np.eye(6)[::-1], (2, 3, 1, 1)))
LATER = np.triu(np.ones((6, 6), bool), 1)
MASKED_IN = {
    "head": lambda drawn: (plot_head(drawn, 0, 1), LATER),
    "from": lambda drawn: (plot_token(drawn, 2), np.tile(LATER[2], (6, 1))),
    "to": lambda drawn: (
        plot_token(drawn, 2, "to"),
        np.tile(LATER[:, 2], (6, 1)),
    ),
    "weights": lambda drawn: (
        plot_weight_difference(drawn, drawn, 0, 1),
        LATER,
    ),
    "rollout": lambda drawn: (plot_rollout(drawn), LATER),
}


def legend_of(axes) -> list[str]:
    legend = axes.get_legend()
    return (
        [text.get_text() for text in legend.get_texts()] if legend else []
    )


@pytest.mark.parametrize("name", MASKED_IN)
def test_masked_cells_are_hatched_and_have_no_number(name):
    axes, masked = MASKED_IN[name](CAUSAL)
    np.testing.assert_array_equal(np.isnan(drawn(axes)), masked)
    assert to_hex(axes.images[0].to_rgba(np.nan)) == heat_map.ABSENT
    (hatched,) = (patch for patch in axes.patches if patch.get_hatch())
    path = hatched.get_path()
    for (row, column), is_masked in np.ndenumerate(masked):
        assert path.contains_point((column, row)) == is_masked
    assert legend_of(axes) == ["masked"]


@pytest.mark.parametrize("name", MASKED_IN)
def test_a_weight_of_0_is_not_masked(name):
    axes, _ = MASKED_IN[name](SEEN_AND_0)
    assert np.isfinite(drawn(axes)).all()
    assert not axes.patches
    assert not legend_of(axes)


def test_masked_cells_of_the_mosaic_are_grey():
    axes = plot_heads(CAUSAL)
    (image,) = axes.images
    colours = image.to_rgba(image.get_array())[:6, :6]
    for (row, column), is_masked in np.ndenumerate(LATER):
        grey = to_hex(colours[row, column]) == heat_map.ABSENT
        assert grey == is_masked
    assert legend_of(axes) == ["masked"]
    assert "Masked cells are grey: later" in describing.description_of(
        axes.figure
    )
    assert not legend_of(plot_heads(SEEN_AND_0))


def test_padding_is_masked():
    weights = np.tile([0.5, 0.5, 0], (1, 1, 3, 1))
    axes = plot_head(from_arrays(["a", "b", "[PAD]"], weights), 0, 0)
    assert np.isnan(drawn(axes)).tolist() == [[False, False, True]] * 3
    description = describing.description_of(axes.figure)
    assert description.endswith("Masked cells are hatched: padding.")


# --- cross-attention -----------------------------------------------------

KEYS = ("[CLS]", "un", "chat", "[SEP]")
CROSS = from_arrays(
    WORDS, ATTENTION.weights[..., 1:5] * 0 + 1 / 4, key_tokens=KEYS
)


def test_cross_attention_has_its_keys_as_columns():
    for axes in (
        plot_head(CROSS, 1, 2),
        plot_weight_difference(CROSS, CROSS, 1, 2),
    ):
        assert ticks(axes.yaxis) == list(WORDS)
        assert ticks(axes.xaxis) == list(KEYS)
        assert drawn(axes).shape == (6, 4)
    assert drawn(plot_heads(CROSS)).shape == (2 * 6 + 1, 3 * 4 + 2)
    assert "6 queries by 4 keys" in title_line(plot_heads(CROSS))
    assert ticks(plot_token(CROSS, "cat").xaxis) == list(KEYS)
    axes = plot_token(CROSS, "chat", "to")
    assert ticks(axes.xaxis) == list(WORDS)
    assert "Attention to chat (token 2)" in title_line(axes)


# --- axes, figures, pyplot -----------------------------------------------


@pytest.mark.parametrize("name", one_in(3, IN_AXES))
def test_axes_that_are_passed_are_used(name):
    figure = Figure()
    axes, untouched = figure.subplots(1, 2)
    assert IN_AXES[name](ATTENTION, axes) is axes
    assert axes.images or axes.collections
    assert not untouched.has_data()
    own = IN_AXES[name](ATTENTION)
    assert isinstance(own, Axes)
    assert own.figure.canvas.manager is None


@pytest.mark.parametrize("name", one_in(3, IN_FIGURE))
def test_a_figure_that_is_passed_is_used(name):
    figure = Figure()
    assert IN_FIGURE[name](ATTENTION, figure) is figure
    assert len([axes for axes in figure.axes if axes.images]) == 2
    assert isinstance(IN_FIGURE[name](ATTENTION), Figure)


@pytest.mark.slow
def test_no_plot_needs_pyplot_and_no_attention_needs_matplotlib():
    code = """
import sys
import bert_viz, bert_viz.plots.saving
assert "matplotlib" not in sys.modules
from bert_viz import from_arrays
from bert_viz.plots.heads import png_of
from bert_viz.plots import difference, head, map, metrics
from bert_viz.plots import norms, rollout, tokens
import numpy
from matplotlib import rcParams
def settings():  # to ask for the backend is to choose one
    return {key: rcParams[key] for key in rcParams if key != "backend"}
before = settings()
assert png_of(from_arrays("ab", numpy.full((1, 1, 2, 2), 0.5)))
assert settings() == before
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# --- files ----------------------------------------------------------------


def texts_in(path: Path) -> tuple[str, str]:
    """Title and description in a file."""
    if path.suffix == ".png":
        with Image.open(path) as image:
            return image.text["Title"], image.text["Description"]
    if path.suffix == ".svg":
        root = ElementTree.parse(path).getroot()
        purl = "{http://purl.org/dc/elements/1.1/}"
        return tuple(
            root.find(f".//{purl}{name}").text
            for name in ("title", "description")
        )
    data = path.read_bytes().replace(b"\\(", b"(").replace(b"\\)", b")")
    return tuple(
        data.split(b"/%b (" % name)[1].split(b")\n")[0].decode()
        for name in (b"Title", b"Subject")
    )


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_file_says_what_it_shows_and_is_the_same_again(tmp_path, suffix):
    attention = attention_of(("[CLS]", "cat"), about="six random heads")
    paths = [tmp_path / f"a{suffix}", tmp_path / f"b{suffix.upper()}"]
    for path in paths:
        save(plot_head(attention, 0, 0), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    for mark in (b"Date", b"dc:date", b"tIME"):
        assert mark not in first
    title, description = texts_in(paths[0])
    assert title == (
        "Layer 0, head 0; six random heads; rows as the model gives them"
    )
    largest = attention.weights[0, 0].max()
    assert f"The largest weight is {largest:.2f}, from" in description


def test_a_figure_is_saved_with_the_descriptions_of_all_its_axes(tmp_path):
    attention = attention_of(("[CLS]", "cat"), about="six random heads")
    figure = plot_norms(attention, 0, 1)
    save(figure, tmp_path / "a.svg")
    title, description = texts_in(tmp_path / "a.svg")
    assert title.startswith("Layer 0, head 1; six random heads; ")
    assert "Left, the weights" in description
    assert "Right, the norms" in description
    figure = Figure()
    above, below = figure.subplots(2)
    plot_heads(ATTENTION, above)
    plot_metric(TABLE, "self", below)
    assert describing.title_of(figure).startswith("All heads; six random")
    assert "; self of all heads" in describing.title_of(figure)
    assert "A mosaic of 2 layers" in describing.description_of(figure)
    assert "A heat map of self" in describing.description_of(figure)


def test_a_part_of_a_figure_is_saved_as_the_whole(tmp_path):
    part = Figure(figsize=(4, 3)).subfigures(1, 2)[1]
    save(plot_heads(ATTENTION, part.subplots()), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (4 * saving.DPI, 3 * saving.DPI)


@pytest.mark.parametrize("name", ALL)
def test_each_plot_has_a_title_and_a_description(name):
    figure = ALL[name](ATTENTION).figure
    assert describing.title_of(figure)
    description = describing.description_of(figure)
    assert description.endswith(".")
    assert len(description) > 80


def test_a_png_for_a_notebook():
    attention = attention_of(("a",), 1, 1)
    assert png_of(attention).startswith(b"\x89PNG\r\n\x1a\n")


WRONG = {
    "another suffix": (
        "a.jpg",
        "to end with .png, .svg or .pdf, got .*a.jpg",
    ),
    "no suffix": ("plot", "to end with .png, .svg or .pdf, got .*plot"),
    "no folder": ("no/a.png", "expected a folder to write a.png into"),
    "a file for a folder": ("file/a.png", "expected a folder"),
    "a folder of that name": ("taken.png", "expected to write .*taken.png"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_path_that_cannot_be_written_is_refused(tmp_path, wrong):
    name, message = WRONG[wrong]
    (tmp_path / "file").touch()
    (tmp_path / "taken.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=message):
        save(Figure(figsize=(1, 1)), tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_write_permission_is_refused(
    tmp_path, monkeypatch
):
    def refused(path, data):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(files, "write_whole", refused)
    with pytest.raises(ValueError, match=r"a\.png, got Permission denied"):
        save(Figure(figsize=(1, 1)), tmp_path / "a.png")


def test_a_full_disk_leaves_the_old_plot(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"old")

    def full(path, data):
        path.open("wb").close()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ValueError, match="No space left"):
        save(Figure(figsize=(1, 1)), tmp_path / "a.png")
    assert [*tmp_path.iterdir()] == [tmp_path / "a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


# --- hostile tokens ------------------------------------------------------


def test_tokens_are_made_visible():
    assert token_labels.token_labels(HOSTILE) == list(SEEN)
    assert token_labels.readable("x" * 20) == "x" * 20


def test_hostile_tokens_are_drawn_literally(tmp_path):
    attention = attention_of(HOSTILE, 1, 2, about="$\\frac$ \x07中")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # What a machine's fonts lack is said, here as anywhere.
        warnings.filterwarnings("ignore", "drawn as boxes")
        save(plot_head(attention, 0, 1), tmp_path / "a.svg")
        save(plot_token(attention, 3), tmp_path / "a.png")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    texts = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
    for label in SEEN:
        assert texts.count(label) == 2
    assert any("$\\frac$ \\x07中" in text for text in texts)


@pytest.mark.parametrize("name", one_in(3, ALL))
def test_every_plot_takes_hostile_tokens(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = ALL[name](attention_of(HOSTILE, 1, 2)).figure
    shown = describing.title_of(figure) + describing.description_of(figure)
    assert shown.isprintable()


@pytest.mark.parametrize("name", one_in(3, ALL))
def test_every_plot_takes_one_token_in_one_head(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ALL[name](attention_of(("a",), 1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("count", [30, 512])
def test_labels_do_not_overlap(count):
    tokens = [f"token{position}" for position in range(count)]
    axes = plot_token(attention_of(tokens, 1, 1), 0)
    figure = axes.figure
    figure.draw_without_rendering()
    labels = axes.get_xticklabels()
    boxes = [label.get_window_extent() for label in labels]
    for left, right in pairwise(boxes):
        assert left.x1 <= right.x0
    step = -(-count // len(labels))
    assert [label.get_text() for label in labels] == tokens[::step]
    assert list(axes.get_xticks()) == list(range(0, count, step))
    assert (f"one in {step} labelled" in axes.get_xlabel()) == (step > 1)


# --- what is refused -----------------------------------------------------

LONGER = attention_of((*WORDS, "more"), about="six random heads")
ANOTHER = attention_of(about="another model")
BARE = from_arrays("ab", np.full((1, 1, 2, 2), 0.5))
REFUSED = {
    "no such layer": (
        lambda: plot_head(ATTENTION, 2, 0),
        "expected layer from 0 to 1, got 2",
    ),
    "no such position": (
        lambda: plot_token(ATTENTION, 6),
        "expected a token from 0 to 5, got 6",
    ),
    "a position below 0": (lambda: plot_token(ATTENTION, -1), "got -1"),
    "a token that occurs twice": (
        lambda: plot_token(ATTENTION, "the"),
        "occurs once, or its position, got the at positions: 1, 4",
    ),
    "a token that is not there": (
        lambda: plot_tokens(ATTENTION, ["cat", "dog"]),
        "got dog at positions: none",
    ),
    "no tokens": (lambda: plot_tokens(ATTENTION, []), "at least one"),
    "one token to link": (
        lambda: plot_links(ATTENTION, [2]),
        "at least two tokens to link, got 1",
    ),
    "no such direction": (
        lambda: plot_token(ATTENTION, 0, "by"),
        "expected direction to be from or to, got 'by'",
    ),
    "a metric that does not apply": (
        lambda: plot_metric(TABLE, "first token"),
        "expected a metric of the table: .*, got 'first token'",
    ),
    "tables of two models": (
        lambda: plot_difference(TABLE, metric_table(ANOTHER), "self"),
        "the same model, got six random heads and another model",
    ),
    "tables of other layers and heads": (
        lambda: plot_difference(
            TABLE,
            metric_table(attention_of(heads=2, about="six random heads")),
            "self",
        ),
        r"the same layers and heads, got \(2, 3\) and \(2, 2\)",
    ),
    "tables computed in two ways": (
        lambda: plot_difference(
            TABLE, metric_table(ATTENTION, False), "self"
        ),
        "the same treatment of rows, got",
    ),
    "more tokens in one sentence": (
        lambda: plot_weight_difference(ATTENTION, LONGER, 0, 0),
        "the same number of tokens, got 6 and 7",
    ),
    "weights of two models": (
        lambda: plot_weight_difference(ATTENTION, ANOTHER, 0, 0),
        "the same model",
    ),
    "no such layer of a rollout": (
        lambda: plot_rollout(ATTENTION, -3),
        "expected layer from 0 to 1, .*got -3",
    ),
    "both sides of a token in cross-attention": (
        lambda: plot_tokens(CROSS, [0]),
        "attention of one text to itself for both directions of a token",
    ),
    "a rollout of cross-attention": (
        lambda: plot_rollout(CROSS),
        "attention of one text to itself for the rollout",
    ),
    "norms without values": (
        lambda: plot_norms(BARE, 0, 0),
        "expected values along with the weights",
    ),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_what_cannot_be_drawn_is_refused(refused):
    act, message = REFUSED[refused]
    with pytest.raises(ValueError, match=message):
        act()


@pytest.mark.parametrize("module", [describing, heat_map, token_labels])
def test_docstring_examples_hold(module):
    assert doctest.testmod(module).failed == 0
