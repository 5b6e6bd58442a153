"""A thumbnail enlarged in a browser: by mouse, keyboard and finger."""

import numpy as np
import pytest

from parity_tests.tests.page.cases import WORDS, in_words

from .page import STEPS, eventually, expect_state
from .page import browser as browser
from .page import folder as folder
from .page import opened as opened

pytestmark = pytest.mark.browser

THUMBNAIL = '.thumbnail[data-layer="1"][data-head="2"]'
BOX = "#view-model .enlarged"


def caption(layer: int, head: int, query: int, key: int) -> str:
    weight = in_words(STEPS[layer, head, query, key])
    ends = f"{WORDS[query]} → {WORDS[key]}"
    return f"{ends} {weight} ± 0.002, layer {layer}, head {head}"


def largest(layer: int, head: int) -> tuple[int, int]:
    weights = STEPS[layer, head]
    return np.unravel_index(weights.argmax(), weights.shape)


@pytest.mark.parametrize("cell", [(0, 0), (4, 7), (8, 8)])
def test_a_cell_below_the_mouse_is_named(opened, cell):
    tab = opened("one", "view=model")
    tab.locator(THUMBNAIL).scroll_into_view_if_needed()
    picture = tab.locator(f"{THUMBNAIL} canvas").bounding_box()
    query, key = cell
    tab.mouse.move(
        picture["x"] + picture["width"] * (key + 0.5) / 9,
        picture["y"] + picture["height"] * (query + 0.5) / 9,
    )
    at = f"{BOX} p"
    eventually(tab, lambda: tab.inner_text(at), caption(1, 2, query, key))
    tab.mouse.move(2, 2)
    eventually(tab, lambda: tab.is_visible(BOX), False)


def test_the_keyboard_sees_the_largest_weight_and_escape_hides_it(opened):
    tab = opened("one", "view=model")
    tab.focus('.thumbnail[data-layer="0"][data-head="0"]')
    tab.keyboard.press("ArrowRight")
    expected = caption(0, 1, *largest(0, 1))
    eventually(tab, lambda: tab.inner_text(f"{BOX} p"), expected)
    tab.keyboard.press("Escape")
    eventually(tab, lambda: tab.is_visible(BOX), False)


def test_a_tap_enlarges_and_a_second_one_opens(opened):
    tab = opened("one", "view=model", width=360, has_touch=True)
    tab.locator(THUMBNAIL).scroll_into_view_if_needed()
    tab.tap(f"{THUMBNAIL} canvas")
    eventually(tab, lambda: tab.is_visible(BOX), True)
    assert tab.inner_text(f"{BOX} p").endswith("layer 1, head 2")
    box = tab.locator(BOX).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    expect_state(tab, view="model")
    tab.tap(f"{THUMBNAIL} canvas")
    expect_state(tab, view="head", layer=1, heads=[2])
