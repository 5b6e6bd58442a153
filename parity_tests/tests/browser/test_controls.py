"""Each control in a browser, by mouse and by keyboard."""

import pytest

from bert_viz.measures.metrics import METRICS

from .page import browser as browser
from .page import eventually, expect_state, press, state
from .page import folder as folder
from .page import opened as opened

pytestmark = pytest.mark.browser


def pick(name, value):
    return lambda tab: tab.select_option(f"#{name}", value)


def click(selector):
    return lambda tab: tab.click(selector)


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
    "lines": (
        ("one", "view=head", {"lines": "half"}),
        pick("lines", "half"),
        press("#lines", "ArrowDown"),
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
def test_each_control_changes_its_part_of_the_state(opened, name, way):
    (page, fragment, expected), by_mouse, by_keyboard = CONTROLS[name]
    tab = opened(page, fragment)
    before = state(tab)
    (by_mouse if way == "mouse" else by_keyboard)(tab)
    expect_state(tab, **expected)
    assert state(tab) == before | expected  # and nothing else
    # The keyboard can go on from here.
    if way == "keyboard":
        focused = "document.activeElement !== document.body"
        assert tab.evaluate(focused)
        assert tab.evaluate("document.activeElement.checkVisibility()")


def test_several_heads_are_added_and_the_last_one_stays(opened):
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
                "all => all.map((button) => Number(button.dataset.head))",
            ),
            heads,
        )
        assert tab.locator(pressed).count() == len(heads)
    tab.click(HEAD_2)
    expect_state(tab, heads=[2])
