"""The page in a real browser: what it shows, and how it is worked.

It is opened from the disk, without network. A console message, a request
or an error that nobody asked for fails the test in which it happens.

These tests need the extra `browser`, and a Chromium: the one that
ATTENTION_TWICE_BROWSER names, one that is installed, or playwright's own
(`playwright install chromium`). Without, they are skipped; but in CI,
where `-m browser` asks for them, they fail.
"""

import csv
import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO, StringIO
from math import floor, log10, sqrt
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from bert_viz import from_arrays
from bert_viz.metric_table import metric_table
from bert_viz.metrics import METRICS
from bert_viz.norms import norms
from bert_viz.packing import pack_weights, unpack
from bert_viz.page import write_page
from bert_viz.patterns import heads_of, named_heads
from bert_viz.words import joined
from numpy_ref.attention import attention_scores, masked_softmax

from .bounds import Bounded, distribution, scaled_scores, weighted_mean
from .test_page import (
    D_HEAD,
    GPT2_WORDS,
    HOSTILE,
    PAIR,
    SEGMENTS,
    WORDS,
    attention_of,
    in_words,
    one_named,
)

pytestmark = pytest.mark.browser

VIEWS = ("model", "head", "neuron", "metrics")
WIDTHS = (1440, 360)
PATIENCE = 5  # seconds

ONE = attention_of(layers=3, heads=4)
PAIRED = attention_of(PAIR, layers=2, heads=4, segments=SEGMENTS)
# Queries of 64 bits, which the page holds in 32.
WIDE = attention_of(queries=ONE.queries[:2, :3].astype(np.float64) / 3)
CAUSAL = attention_of(GPT2_WORDS, causal=True)
SECOND = attention_of(("[CLS]", "the", *WORDS[2:]), 3, 4, seed=1)
SHORT = attention_of(WORDS[:4], 3, 4, seed=2)
ALONE = from_arrays(WORDS, one_named())
SMALL = attention_of(WORDS[:3], 1, 3)
# Nearly equal weights: 64 × 64 lines, none of which is 0.
LONG = attention_of([f"t{place}" for place in range(64)], 1, 2, scale=0.2)
EVIL = attention_of(HOSTILE)
PAGES = {
    "one": (ONE, None, (0, 1)),
    "pair": (PAIRED, None, (0,)),
    "causal": (CAUSAL, None, (0,)),
    "two": (ONE, SECOND, (0,)),
    "unlike": (ONE, SHORT, (0,)),
    "alone": (ALONE, None, (0,)),
    "wide": (WIDE, None, (0,)),
    "small": (SMALL, SMALL, (0,)),
    "long": (LONG, None, ()),
    "evil": (EVIL, EVIL, (0,)),
}
STEPS = unpack(pack_weights(ONE.weights))  # what the page holds of them


# --- a browser, or why there is none --------------------------------------


def reason_against() -> str:
    """What is missing, and how to get it; or ""."""
    for name in ("playwright", "axe_playwright_python"):
        if find_spec(name) is None:
            return f"{name} is missing: pip install -e '.[browser]'"
    if not executable():
        return (
            "no Chromium was found: `playwright install chromium`, or name "
            "one in ATTENTION_TWICE_BROWSER"
        )
    return ""


def executable() -> str | None:
    names = "chromium", "chromium-browser", "google-chrome"
    asked = os.environ.get("ATTENTION_TWICE_BROWSER")
    found = [asked, *map(shutil.which, names)]
    return next(filter(None, found), None) or playwrights_own()


def playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).is_file() else None


@pytest.fixture(scope="module")
def browser(request):
    """Opened once; closed with this file, so that no loop outlives it."""
    if reason := reason_against():
        asked = request.config.getoption("markexpr") == "browser"
        if os.environ.get("CI") == "true" and asked:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=executable(), args=["--disable-gpu"]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, browser):
    found = tmp_path_factory.mktemp("pages")
    for name, (attention, other, layers) in PAGES.items():
        write_page(found / f"{name}.html", attention, other, layers)
    return found


@pytest.fixture
def opened(browser, folder):
    """Open a page at a view; in the end nothing unasked has happened."""
    contexts, unasked = [], []

    def open_page(name="one", fragment="", width=1440, **options):
        options.setdefault("color_scheme", "light")
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            accept_downloads=True,
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE)
        context.set_offline(True)
        address = (folder / f"{name}.html").as_uri()
        watch(context, address, unasked)
        tab = context.new_page()
        tab.goto(f"{address}#{fragment}")
        if options.get("java_script_enabled", True):
            tab.evaluate("attentionPage.ready")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert unasked == []


def watch(context, address: str, unasked: list) -> None:
    """Let the page itself through, and note all else that happens."""

    def answer(route):
        if route.request.url.split("#")[0] == address:
            route.continue_()
        else:
            unasked.append(f"request: {route.request.url[:99]}")
            route.abort()

    def failed(request):
        if not request.url.startswith("blob:"):  # a download, by its nature
            unasked.append(f"failed: {request.url[:99]}")

    def dialog(found):
        unasked.append(f"dialog: {found.message}")
        found.dismiss()

    context.route("**/*", answer)
    context.on("requestfailed", failed)
    context.on("dialog", dialog)
    context.on("weberror", lambda one: unasked.append(f"{one.error}"))
    context.on(
        "console", lambda one: unasked.append(f"{one.type}: {one.text}")
    )


def eventually(tab, ask: Callable, expected) -> None:
    """`ask()` comes to be that; drawing waits for what is unpacked."""
    for _ in range(100 * PATIENCE):
        found = ask()
        if found == expected:
            return
        tab.wait_for_timeout(10)
    assert found == expected


def state(tab) -> dict:
    return tab.evaluate("attentionPage.state")


def expect_state(tab, **expected) -> None:
    def ask():
        found = state(tab)
        return {name: found[name] for name in expected}

    eventually(tab, ask, expected)
    tab.evaluate("new Promise((done) => requestAnimationFrame(done))")


def texts(tab, selector: str) -> list[str]:
    return tab.eval_on_selector_all(
        selector, "all => all.map((one) => one.textContent)"
    )


def table(tab, name: str, host: str = "") -> list[list[str]]:
    """The text of each cell of a table's body."""
    return tab.eval_on_selector_all(
        f'{host} table[data-table="{name}"] > tbody > tr',
        "rows => rows.map((row) => "
        "Array.from(row.cells, (cell) => cell.textContent))",
    )


def numbers(tab, name: str, part: str = "tbody") -> list[list[tuple]]:
    """Of each cell with a number the whole one, and what is shown."""
    return tab.eval_on_selector_all(
        f'table[data-table="{name}"] > {part} > tr',
        "rows => rows.map((row) => Array.from(row.querySelectorAll('data'),"
        " (one) => [Number(one.value), one.textContent]))",
    )


def read(text: str) -> float:
    return float(text.replace("\u2212", "-"))


# --- every view -----------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_every_view_draws_and_asks_for_nothing(opened, name):
    tab = opened(name, "threshold=0")
    for view in VIEWS:
        tab.click(f"#tab-{view}")
        expect_state(tab, view=view)
        panel = f"#view-{view}"
        eventually(tab, lambda at=panel: tab.is_visible(at), True)
        drawn = f"attentionPage.drawnIn['{view}'] > 0"
        eventually(tab, lambda ask=drawn: tab.evaluate(ask), True)
        others = [f"#view-{one}" for one in VIEWS if one != view]
        assert not any(map(tab.is_visible, others))
        canvases = tab.eval_on_selector_all(f"{panel} .host canvas", INKED)
        messages = texts(tab, f"{panel} .message")
        assert messages or canvases
        assert all(canvases)


PIXELS = """(canvas) => {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, data: Array.from(data) };
}"""
# Whether each canvas has something on it.
INKED = """(all) => all.map((canvas) => {
  const context = canvas.getContext("2d");
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return data.some((part) => part > 0);
})"""


def test_without_scripts_it_says_what_it_would_be(opened):
    tab = opened(java_script_enabled=False)
    assert tab.is_visible("noscript .message")
    assert "With scripts on" in tab.inner_text("noscript .message")


def test_what_is_not_there_is_said_where_it_would_be(opened):
    tab = opened("alone", "view=neuron")
    assert "Only weights were given" in tab.inner_text("#view-neuron")
    tab = opened("alone", "view=metrics")
    assert "no norms" in tab.inner_text("#view-metrics")
    tab = opened("one", "view=neuron&layer=2")
    assert "of layer 0, 1, not of layer 2" in tab.inner_text("#view-neuron")


# --- each control, by mouse and by keyboard -------------------------------


def pick(name, value):
    return lambda tab: tab.select_option(f"#{name}", value)


def click(selector):
    return lambda tab: tab.click(selector)


def press(selector, *keys):
    def by_keyboard(tab):
        tab.focus(selector)
        for key in keys:
            tab.keyboard.press(key)

    return by_keyboard


def slide(tab):
    box = tab.locator("#threshold").bounding_box()
    end = {"x": box["width"] - 1, "y": box["height"] / 2}
    tab.click("#threshold", position=end)


def type_least(tab):
    tab.fill("#least", "0.25")
    tab.click("h1")


NEXT_TOKEN = 'table[data-table="patterns"] tr:nth-child(2)'
HEAD_2 = '#heads [data-head="2"]'
CONTROLS = {
    "tab": (
        ("one", "view=model", {"view": "metrics"}),
        click("#tab-metrics"),
        press("#tab-model", "End", "Enter"),
    ),
    "layer": (
        ("one", "view=head", {"layer": 1}),
        pick("layer", "1"),
        press("#layer", "ArrowDown"),
    ),
    "heads": (
        ("one", "view=head", {"heads": [2]}),
        click(HEAD_2),
        press(
            '#heads [data-head="0"]', "ArrowRight", "ArrowRight", "Space"
        ),
    ),
    "several": (
        ("one", "view=head", {"several": True}),
        click("#several"),
        press("#several", "Space"),
    ),
    "threshold": (
        ("one", "view=head&threshold=0.99", {"threshold": 1}),
        slide,
        press("#threshold", "ArrowRight"),
    ),
    "sort": (
        ("one", "view=model", {"sort": METRICS[0].name}),
        pick("sort", METRICS[0].name),
        press("#sort", "ArrowDown"),
    ),
    "ascending": (
        ("one", "view=model&sort=entropy", {"ascending": True}),
        click("#ascending"),
        press("#ascending", "Space"),
    ),
    "least": (
        ("one", "view=model&sort=entropy", {"least": 0.25}),
        type_least,
        press("#least", *"0.25", "Enter"),
    ),
    "pattern": (
        ("alone", "view=model", {"pattern": "previous token"}),
        pick("pattern", "previous token"),
        press("#pattern", "ArrowDown"),
    ),
    "special": (
        ("one", "view=head", {"special": False}),
        click("#special"),
        press("#special", "Space"),
    ),
    "words": (
        ("one", "view=head", {"words": True}),
        click("#words"),
        press("#words", "Space"),
    ),
    "between": (
        ("pair", "view=head", {"between": "ab"}),
        pick("between", "ab"),
        press("#between", "ArrowDown"),
    ),
    "text": (
        ("two", "view=head", {"text": "first"}),
        pick("text", "first"),
        press("#text", "ArrowDown"),
    ),
    "theme": (
        ("one", "view=head", {"theme": "light"}),
        pick("theme", "light"),
        press("#theme", "ArrowDown"),
    ),
    "query": (
        ("one", "view=neuron&query=2", {"query": 3}),
        lambda tab: tab.select_option('[data-pick="query"]', "3"),
        press('[data-pick="query"]', "ArrowDown"),
    ),
    "key": (
        ("one", "view=neuron&key=4", {"key": 5}),
        lambda tab: tab.select_option('[data-pick="key"]', "5"),
        press('[data-pick="key"]', "ArrowDown"),
    ),
    "dimension": (
        ("one", "view=neuron", {"dimension": 1}),
        lambda tab: tab.select_option('[data-pick="dimension"]', "1"),
        press('[data-pick="dimension"]', "ArrowDown"),
    ),
    "thumbnail": (
        ("one", "view=model", {"view": "head", "layer": 1, "heads": [1]}),
        click('.thumbnail[data-layer="1"][data-head="1"]'),
        press(
            '.thumbnail[data-layer="0"][data-head="0"]',
            *("ArrowDown", "ArrowRight", "ArrowDown", "ArrowUp", "Enter"),
        ),
    ),
    "token": (
        ("one", "view=head", {"query": 2, "key": None}),
        click('.row[data-query="2"]'),
        press('.row[data-query="0"]', "ArrowDown", "ArrowDown", "Enter"),
    ),
    "strips": (
        ("one", "view=neuron&query=1&key=1&dimension=1", {"key": 2}),
        lambda tab: tab.click(
            '[data-figure="products"] canvas',
            position={"x": 112 + 1.5 * 6, "y": 76 + 2.5 * 24},
        ),
        press('[data-figure="products"]', "ArrowDown"),
    ),
    "a head's name": (
        (
            "alone",
            "view=metrics",
            {"view": "head", "layer": 0, "heads": [2]},
        ),
        click(f"{NEXT_TOKEN} button"),
        press(f"{NEXT_TOKEN} button", "Enter"),
    ),
}


@pytest.mark.parametrize("way", ["mouse", "keyboard"])
@pytest.mark.parametrize("name", CONTROLS)
def test_each_control_changes_what_it_says(opened, name, way):
    (page, fragment, expected), by_mouse, by_keyboard = CONTROLS[name]
    tab = opened(page, fragment)
    before = state(tab)
    (by_mouse if way == "mouse" else by_keyboard)(tab)
    expect_state(tab, **expected)
    assert state(tab) == before | expected  # and nothing else
    # Who works the keyboard goes on from here.
    if way == "keyboard":
        focused = "document.activeElement !== document.body"
        assert tab.evaluate(focused)
        assert tab.evaluate("document.activeElement.checkVisibility()")


def test_several_heads_are_added_and_one_always_stays(opened):
    tab = opened("one", "view=head&heads=1")
    tab.check("#several")
    for head, heads in ((3, [1, 3]), (2, [1, 2, 3]), (1, [2, 3]), (3, [2])):
        tab.click(f'#heads [data-head="{head}"]')
        expect_state(tab, heads=heads)
        pressed = "#heads [aria-pressed=true]"
        eventually(
            tab,
            lambda: tab.eval_on_selector_all(
                "#heads [aria-pressed=true]",
                "all => all.map((one) => Number(one.dataset.head))",
            ),
            heads,
        )
        assert tab.locator(pressed).count() == len(heads)
    tab.click(HEAD_2)
    expect_state(tab, heads=[2])


GROUPS = {
    "tabs": ("view=model", "#views", "> button", 4),
    "heads": ("view=head&heads=2", "#heads", "> button", 4),
    "thumbnails": ("view=model&layer=1", ".thumbnails", "> button", 12),
    "queries": ("view=head", ".column.query", "> .row", 9),
    "keys": ("view=head", ".column.key", "> .row", 9),
}


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_is_one_tab_stop_and_arrows_move_in_it(opened, name):
    fragment, group, items, count = GROUPS[name]
    tab = opened("one", fragment)
    at = f"{group} {items}"
    stops = (
        f"Array.from(document.querySelectorAll('{at}'))"
        ".flatMap((one, n) => one.tabIndex === 0 ? [n] : [])"
    )
    place = (
        f"Array.from(document.querySelectorAll('{at}'))"
        ".indexOf(document.activeElement)"
    )
    assert tab.locator(at).count() == count
    (start,) = tab.evaluate(stops)
    tab.locator(at).nth(start).focus()
    following = "ArrowDown" if "column" in group else "ArrowRight"
    before = "ArrowUp" if "column" in group else "ArrowLeft"
    for key, expected in (
        *(("Home", 0), (following, 1), (following, 2), (before, 1)),
        *(("End", count - 1), (following, count - 1), ("Home", 0)),
        (before, 0),
    ):
        tab.keyboard.press(key)
        assert tab.evaluate(place) == expected, key
        assert tab.evaluate(stops) == [expected], key
    tab.keyboard.press("Tab")
    assert tab.evaluate(place) == -1
    tab.keyboard.press("Shift+Tab")
    assert tab.evaluate(place) == 0


def test_the_columns_of_tokens_are_left_and_right_of_each_other(opened):
    tab = opened("one", "view=head")
    tab.focus('.row[data-query="0"]')
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("document.activeElement.dataset.key") == "1"
    tab.keyboard.press("ArrowLeft")
    assert tab.evaluate("document.activeElement.dataset.query") == "1"


def test_enter_keeps_a_token_and_escape_lets_it_go(opened):
    tab = opened("one", "view=head")
    tab.focus('.row[data-key="3"]')
    expected = [in_words(STEPS[0, 0, query, 3]) for query in range(9)]
    shown = [f"{number} ± 0.002" for number in expected]

    def beside():
        return texts(tab, ".row[data-query] .value")

    eventually(tab, beside, shown)
    tab.keyboard.press("Enter")
    expect_state(tab, key=3, query=None)
    tab.focus("#layer")
    eventually(tab, beside, shown)  # kept, though nothing points at it
    tab.focus('.row[data-key="3"]')
    tab.keyboard.press("Escape")
    expect_state(tab, key=None, query=None)
    tab.focus("#layer")
    eventually(tab, beside, [""] * 9)


# --- the address ----------------------------------------------------------

ELSEWHERE = (
    "view=head&layer=2&heads=1,3&several=1&query=4&threshold=0.2&special=0"
    "&words=1&theme=dark"
)


def test_the_address_is_kept_at_a_reload_and_followed(opened):
    tab = opened("one", ELSEWHERE)
    there = state(tab)
    expected = {"view": "head", "layer": 2, "heads": [1, 3], "query": 4}
    assert {name: there[name] for name in expected} == expected
    tab.check("#several")
    tab.select_option("#layer", "0")
    expect_state(tab, layer=0)
    changed = state(tab)
    tab.reload()
    tab.evaluate("attentionPage.ready")
    assert state(tab) == changed == there | {"layer": 0}
    tab.evaluate("location.hash = 'view=metrics&heads=2'")
    expect_state(tab, view="metrics", heads=[2], layer=0)
    eventually(tab, lambda: tab.is_visible("#view-metrics"), True)
    link = tab.get_attribute("#link", "href")
    fresh = opened("one", link.removeprefix("#"))
    assert state(fresh) == state(tab)


def test_the_link_is_the_address_of_what_is_shown(opened):
    tab = opened("one", "view=head")
    tab.select_option("#layer", "2")
    expect_state(tab, layer=2)
    link = tab.get_attribute("#link", "href")
    assert tab.url.endswith(link)
    assert "layer=2" in link


# --- what is shown are Python's numbers -----------------------------------


def weight_table(tab) -> list[list[float]]:
    if not tab.evaluate("document.getElementById('table-details').open"):
        tab.click("#table-details > summary")
    tab.wait_for_selector('#tables table[data-table="weights"]')
    return [[*map(read, row[1:])] for row in table(tab, "weights")]


def expect_table(tab, weights, pieces=1) -> None:
    """To the third digit; and near the model's, as the caption says."""
    shown = np.array(weight_table(tab))
    assert shown.shape == weights.shape
    stated = np.ceil(1000 * np.max(pieces) / 510 - 1e-6) / 1000
    (caption,) = texts(tab, "#tables caption")
    assert f"each number is ± {stated:.3f}" in caption
    assert (abs(shown - weights) <= np.array(pieces) / 510 + 6e-4).all()


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
    assert "rows were not renormalised" in tab.inner_text("#notes")
    tab = opened("pair", "view=head&between=ba")
    rows, keys = SEGMENTS == 1, SEGMENTS == 0
    expect_table(tab, PAIRED.weights[0, 0][rows][:, keys])


def test_of_many_tokens_each_query_has_its_strongest_keys(opened):
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
    for name, held in (("one", ONE), ("long", LONG)):
        tab = opened(name, f"view=head&threshold={threshold}")
        steps = unpack(pack_weights(held.weights))[0, 0]
        many = int(((steps > 0) & (steps >= threshold)).sum())
        note = tab.inner_text("#view-head .host .note")
        assert note.startswith(f"{many} lines of at least {threshold:.2f}")
        assert ("3000 strongest are drawn" in note) == (many > 3000)
        assert (many > 3000) == (name == "long" and threshold == 0)


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (1, 2)])
def test_a_thumbnail_has_the_colour_of_each_weight(opened, layer, head):
    from matplotlib import colormaps

    tab = opened("one", "view=model")
    thumbnail = f'[data-layer="{layer}"][data-head="{head}"]'
    found = tab.eval_on_selector(f".thumbnail{thumbnail} canvas", PIXELS)
    shape = found["height"], found["width"], 4
    assert shape == (9, 9, 4)
    pixels = np.array(found["data"]).reshape(shape)
    viridis = colormaps["viridis"](np.sqrt(STEPS[layer, head]))
    assert abs(pixels - 255 * viridis).max() <= 6  # as `colours.js` has it


def test_heads_are_ordered_and_filtered_as_python_does(opened):
    tab = opened("one", "view=model&sort=distance")
    values = metric_table(ONE).values["distance"]
    order = np.argsort(-values, axis=None, kind="stable")
    places = [np.unravel_index(one, values.shape) for one in order]

    def shown():
        return texts(tab, ".thumbnail .place")

    def named(chosen):
        return [
            f"L{layer} H{head}{in_words(values[layer, head], 2)}"
            for layer, head in chosen
        ]

    assert shown() == named(places)
    least = float(np.median(values))
    tab.fill("#least", f"{least:.6f}")
    tab.keyboard.press("Enter")
    kept = [place for place in places if values[place] >= round(least, 6)]
    eventually(tab, shown, named(kept))
    tab.check("#ascending")
    eventually(tab, shown, named(kept[::-1]))


def test_a_pattern_leaves_the_heads_that_have_its_name(opened):
    tab = opened("alone", "view=model")
    found = metric_table(ALONE)
    for name in named_heads(found):
        tab.select_option("#pattern", name)
        heads = sorted(heads_of(found, name))
        expected = [f"L{one.layer} H{one.head}" for one in heads]
        eventually(tab, lambda: texts(tab, ".thumbnail .place"), expected)


def expect_six_digits(cells) -> None:
    """What is shown is the whole number, to its sixth digit."""
    for whole, shown in (cell for row in cells for cell in row):
        place = floor(log10(abs(whole))) - 5 if whole else 0
        assert abs(read(shown) - whole) <= 0.500001 * 10.0**place


@pytest.mark.parametrize(
    ("name", "query", "key"), [("one", 2, 4), ("causal", 3, 1)]
)
def test_the_arithmetic_is_pythons_to_the_last_digit_shown(
    opened, name, query, key
):
    held, dimension = {"one": ONE, "causal": CAUSAL}[name], 2
    tab = opened(
        name,
        f"view=neuron&heads=1&query={query}&key={key}"
        f"&dimension={dimension}",
    )
    arrays = held.queries, held.keys, held.values
    q, k, v = (array[0, 1].astype(np.float64) for array in arrays)
    q = q[query]
    count = len(held.tokens)
    mask = np.arange(count) <= (query if held.causal else count)
    sums = np.cumsum(q * k, axis=-1)[:, -1]
    scores = sums / sqrt(D_HEAD)

    products = numbers(tab, "products")
    expect_six_digits(products)
    whole = np.array([[cell[0] for cell in row] for row in products])
    np.testing.assert_array_equal(whole.T, [q, k[key], q * k[key]])
    foot = numbers(tab, "products", "tfoot")
    assert [row[0][0] for row in foot] == [sums[key], scores[key]]

    softmax = numbers(tab, "softmax")
    expect_six_digits(softmax)
    whole = np.array([[cell[0] for cell in row] for row in softmax]).T
    np.testing.assert_array_equal(whole[:2], [sums, scores])
    bound = distribution(
        scaled_scores(
            Bounded.exactly(q[None], q[None]), Bounded.exactly(k, k)
        ),
        mask,
    )
    expected = masked_softmax(attention_scores(q[None], k), mask[None])
    assert (abs(whole[3] - expected[0]) <= 2 * bound.error[0]).all()
    masked = [row[3] == "masked: \u2212∞" for row in table(tab, "softmax")]
    assert masked == (~mask).tolist()
    steps = unpack(pack_weights(held.weights))[0, 1, query]
    stored = [read(row[-1]) for row in table(tab, "softmax")]
    assert stored == [round(float(step), 3) for step in steps]

    weighted = numbers(tab, "weighted")
    expect_six_digits(weighted)
    whole = np.array([[cell[0] for cell in row] for row in weighted]).T
    np.testing.assert_array_equal(whole[1], v[:, dimension])
    np.testing.assert_array_equal(whole[2], whole[0] * whole[1])
    output = numbers(tab, "output")
    expect_six_digits(output)
    whole = np.array([row[0][0] for row in output])
    far = weighted_mean(bound, Bounded.exactly(v, v)).error[0]
    assert (abs(whole - (expected @ v)[0]) <= 2 * far).all()


def test_whether_the_arithmetic_is_exact_is_said(opened):
    for name, said in (
        ("one", "are exact"),
        ("wide", "rounded to 32 bits"),
    ):
        tab = opened(name, "view=neuron")
        assert said in tab.inner_text("#view-neuron .pickers .note"), name


def test_the_metrics_are_pythons(opened):
    tab = opened("one", "view=metrics&layer=1&heads=3")
    found = metric_table(ONE)
    rows = table(tab, "metrics")
    assert [row[0] for row in rows] == [*found.values]
    metrics = {metric.name: metric for metric in METRICS}
    for name, definition, source, equal, here, most in rows:
        values = found.values[name]
        layer, head = np.unravel_index(values.argmax(), values.shape)
        assert definition == metrics[name].definition
        assert source == metrics[name].source
        assert equal == in_words(found.baselines[name])
        assert here == in_words(values[1, 3])
        assert most == f"L{layer} H{head}{in_words(values.max())}"
    tab.click("[data-details] summary")
    every = tab.locator("[data-details] tbody tr")
    eventually(tab, every.count, ONE.layers * ONE.heads)
    cells = every.nth(7).locator("td").all_inner_texts()
    assert cells == [in_words(one[1, 3]) for one in found.values.values()]


def test_the_named_heads_are_pythons(opened):
    tab = opened("alone", "view=metrics")
    named = named_heads(metric_table(ALONE))
    rows = table(tab, "patterns")
    assert [row[0] for row in rows] == [*named]
    for row, heads in zip(rows, named.values(), strict=True):
        assert row[2] == "".join(
            f"L{one.layer} H{one.head}{in_words(one.value, 2)}"
            for one in heads
        )


def test_the_norms_are_pythons(opened):
    tab = opened("one", "view=metrics&layer=1&heads=2")
    weights, handed = ONE.weights[1, 2], norms(ONE)[1, 2]
    sizes = ONE.value_norms[1, 2]
    rows = table(tab, "norms")
    assert len(rows) == 8
    order = np.sort(weights, axis=None)[::-1][:8]
    for number, (query, key, weight, size, over) in zip(
        order, rows, strict=True
    ):
        shown, error = map(read, weight.split(" ± "))
        assert abs(shown - number) <= error + 5e-4
        found, far = map(read, over.split(" ± "))
        places = [
            (i, j)
            for i, j in np.ndindex(weights.shape)
            if (WORDS[i], WORDS[j]) == (query, key)
        ]
        assert any(
            abs(weights[at] - shown) <= error + 5e-4
            and abs(sizes[at[1]] - read(size)) <= 6e-4
            and abs(handed[at] - found) <= far + 5e-4
            for at in places
        )


def test_the_summary_is_that_of_the_chosen_heads(opened):
    tab = opened("one", "view=head&layer=1&several=1&heads=0,2")
    said = texts(tab, "#summary p")
    entropy = metric_table(ONE).values["entropy"]
    for head, sentence in zip((0, 2), said, strict=True):
        assert sentence.startswith(f"Layer 1, head {head}. ")
        strongest = in_words(STEPS[1, head].max())
        assert f" {strongest} ± 0.002" in sentence
        spread = in_words(entropy[1, head])
        assert f"Entropy, of all tokens, {spread}, where" in sentence


# --- two texts ------------------------------------------------------------


def test_two_texts_stand_side_by_side_and_as_a_difference(opened):
    tab = opened("two", "view=head&layer=1&heads=2")
    assert texts(tab, "#view-head .panel > h3") == [
        *("First text", "Second text")
    ]
    seconds = '#view-head .panel[data-text="1"] .column.key .token'
    assert texts(tab, seconds) == [*SECOND.tokens]
    tab.select_option("#text", "difference")
    expect_state(tab, text="difference")
    difference = unpack(pack_weights(SECOND.weights)) - STEPS
    expect_table(tab, difference[1, 2], pieces=2)
    keys = texts(tab, "#view-head .column.key .token")
    assert keys == ["[CLS]", "a | the", *WORDS[2:]]
    tab.click("#tab-neuron")
    expect_state(tab, view="neuron")

    def refused():
        return "of one text" in "".join(texts(tab, "#view-neuron .message"))

    eventually(tab, refused, True)


def test_a_difference_of_metrics_is_second_minus_first(opened):
    tab = opened("two", "view=model&text=difference&sort=entropy")
    ours, others = (metric_table(one).values for one in (ONE, SECOND))
    difference = others["entropy"] - ours["entropy"]
    shown = texts(tab, ".thumbnail .place .number")
    expected = np.sort(difference, axis=None)[::-1]
    found = np.array([read(one.replace("+", "")) for one in shown])
    assert abs(found - expected).max() <= 0.00501
    assert all(
        one.startswith("+")
        for one, n in zip(shown, found, strict=True)
        if n > 0
    )


def test_texts_of_unlike_length_say_why_they_have_no_difference(opened):
    tab = opened("unlike", "view=head&text=difference")
    assert "9 and 4 queries" in tab.inner_text("#view-head .message")
    tab.click("#tab-model")
    expect_state(tab, view="model")
    assert "Side by side" in tab.inner_text("#view-model .message")


def test_only_a_pair_has_segments_and_only_two_texts_a_choice(opened):
    shown = {}
    for name in ("one", "pair", "two"):
        tab = opened(name, "view=head")
        shown[name] = tab.is_visible("#between"), tab.is_visible("#text")
    assert shown == {
        "one": (False, False),
        "pair": (True, False),
        "two": (False, True),
    }


# --- saving ---------------------------------------------------------------


def saved(tab, kind: str, by_keyboard: bool = False) -> bytes:
    with tab.expect_download() as found:
        if by_keyboard:
            press(f'[data-save="{kind}"]', "Enter")(tab)
        else:
            tab.click(f'[data-save="{kind}"]')
    view = state(tab)["view"]
    assert found.value.suggested_filename == f"attention-{view}.{kind}"
    return Path(found.value.path()).read_bytes()


def rows_of(content: bytes) -> list[dict]:
    text = StringIO(content.decode(), newline="")
    return [*csv.DictReader(text, strict=True)]


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


# --- for everyone ---------------------------------------------------------


def violations(tab) -> list[str]:
    """What axe-core finds; it is run as text: no script may be added."""
    import axe_playwright_python

    folder = Path(axe_playwright_python.__file__).parent
    source = (folder / "axe.min.js").read_text(encoding="utf-8")
    tab.evaluate(f"() => {{ if (!window.axe) {{ {source} }} }}")
    found = tab.evaluate(
        "axe.run({ preload: false, resultTypes: ['violations'] })"
    )
    return [
        f"{one['id']}: {node['html'][:120]}: {node['failureSummary'][:160]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_wrong(opened, view, theme):
    fragment = f"view={view}&several=1&heads=0,2&query=1&words=1"
    tab = opened("small", fragment, color_scheme=theme)
    tab.click("#table-details > summary")
    tab.wait_for_selector('#tables table[data-table="weights"]')
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        tab.wait_for_timeout(50)
        assert violations(tab) == [], width


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("two", "view=head&text=difference"),
        ("small", "view=model"),
        ("small", "view=metrics"),
        ("unlike", "view=head&text=difference"),
        ("pair", "view=neuron&layer=1"),
        ("evil", "view=head&query=4"),
        ("alone", "view=model&pattern=self"),
    ],
)
def test_axe_finds_nothing_wrong_in_what_is_seldom(opened, name, fragment):
    assert violations(opened(name, fragment, color_scheme="dark")) == []


def test_every_group_has_a_name(opened):
    tab = opened("one", "view=head")
    for role, name in (
        *(("tablist", "Views"), ("toolbar", "Heads"), ("listbox", "Keys")),
        *(("listbox", "Queries"), ("button", "Head 1, full square")),
    ):
        found = tab.get_by_role(role, name=name, exact=True)
        assert found.count() == 1, name
    tab.click("#tab-model")
    expect_state(tab, view="model")
    grid = tab.get_by_role("group", name="Heads; arrow keys move")
    assert grid.count() == 1
    assert grid.get_by_role("button", name="L0 H1").count() == 1


@pytest.mark.parametrize("name", ["one", "two", "evil", "long"])
def test_a_narrow_window_has_nothing_to_scroll_sideways(opened, name):
    tab = opened(name, "several=1&heads=0,1&query=1", width=360)
    tab.click("#table-details > summary")
    for view in VIEWS:
        tab.click(f"#tab-{view}")
        expect_state(tab, view=view)
        tab.wait_for_timeout(50)
        wide = tab.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, view


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_auto_goes_by_the_system_and_a_choice_over_it(opened, theme):
    other = {"light": "dark", "dark": "light"}[theme]
    tab = opened("one", "view=head", color_scheme=theme)
    shown = "document.documentElement.dataset.theme"
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert tab.evaluate(shown) == theme
    before = tab.evaluate(ground)
    tab.select_option("#theme", other)
    eventually(tab, lambda: tab.evaluate(shown), other)
    assert tab.evaluate(ground) != before
    tab.select_option("#theme", "auto")
    eventually(tab, lambda: tab.evaluate(shown), theme)
    tab.emulate_media(color_scheme=other)
    eventually(tab, lambda: tab.evaluate(shown), other)


@pytest.mark.parametrize(
    ("motion", "still"), [("reduce", True), ("no-preference", False)]
)
def test_who_wants_no_motion_gets_none(opened, motion, still):
    tab = opened("one", "view=model", reduced_motion=motion)
    durations = tab.eval_on_selector_all(
        "*",
        "all => all.map((one) => [getComputedStyle(one)]"
        ".map((s) => s.transitionDuration + ' ' + s.animationName)[0])",
    )
    assert ({*durations} == {"0s none"}) == still


def test_each_canvas_is_hidden_from_readers_and_told_in_words(opened):
    tab = opened("one", "view=head&query=1")
    for view in VIEWS:
        tab.click(f"#tab-{view}")
        expect_state(tab, view=view)
        bare = "canvas:not([aria-hidden=true])"
        assert tab.locator(f"{bare}:visible").count() == 0
        assert tab.locator("#summary p").count() == 1
    for name, count in (("query", 9), ("key", 9)):
        options = tab.locator(f".column.{name} [role=option]")
        assert options.count() == count


# --- tokens that mean harm ------------------------------------------------


def test_hostile_tokens_are_text_and_nothing_else(opened):
    tab = opened("evil", "view=head&query=1")
    tab.click("#table-details > summary")
    tab.wait_for_selector('#tables table[data-table="weights"]')
    for view in VIEWS:
        tab.click(f"#tab-{view}")
        expect_state(tab, view=view)
        tab.wait_for_timeout(30)
        made = "img, iframe, object, embed, svg, b, [onerror]"
        assert tab.locator(made).count() == 0
        assert tab.locator("script").count() == 2
        for save in ("svg", "csv"):
            assert saved(tab, save)
    tab.click("#tab-head")
    shown = '.panel[data-text="0"] .column.key .token'
    eventually(tab, lambda: len(texts(tab, shown)), len(HOSTILE))
    found = texts(tab, shown)
    for token in ("</script>", "<!--", "{{style}}", "&lt;b&gt;"):
        assert token in found
    assert found[10] == "(empty)"
    assert found[11] == "a↵b"
    assert found[-1] == "x" * 40 + "…"


def test_hostile_tokens_are_saved_as_text(opened):
    tab = opened("evil", "view=head&text=first")
    svg = ElementTree.fromstring(saved(tab, "svg"))
    assert not [one for one in svg.iter() if one.tag.endswith("script")]
    words = "".join(one.text or "" for one in svg.iter())
    assert "<img src=x onerror=ale…" in words  # cut, as long ones are
    assert "</script>" in words
    rows = rows_of(saved(tab, "csv"))
    lone = "\ufffd"  # half of a letter, which no file can hold
    expected = [token.replace("\ud800", lone) for token in HOSTILE]
    assert [row["key"] for row in rows[: len(HOSTILE)]] == expected
