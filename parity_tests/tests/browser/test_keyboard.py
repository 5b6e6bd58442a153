"""A page in a browser without a mouse: groups, columns, Enter, Escape."""

import pytest

from parity_tests.tests.page.cases import in_words

from .page import STEPS, eventually, expect_state, texts
from .page import browser as browser
from .page import folder as folder
from .page import opened as opened

pytestmark = pytest.mark.browser

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
        ".flatMap((item, index) => item.tabIndex === 0 ? [index] : [])"
    )
    focused = (
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
        assert tab.evaluate(focused) == expected, key
        assert tab.evaluate(stops) == [expected], key
    tab.keyboard.press("Tab")
    assert tab.evaluate(focused) == -1
    tab.keyboard.press("Shift+Tab")
    assert tab.evaluate(focused) == 0


def test_left_and_right_move_between_the_columns_of_tokens(opened):
    tab = opened("one", "view=head")
    tab.focus('.row[data-query="0"]')
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("document.activeElement.dataset.key") == "1"
    tab.keyboard.press("ArrowLeft")
    assert tab.evaluate("document.activeElement.dataset.query") == "1"


def test_enter_keeps_a_token_and_escape_lets_go(opened):
    tab = opened("one", "view=head")
    tab.focus('.row[data-key="3"]')
    shown = [in_words(STEPS[0, 0, query, 3]) for query in range(9)]

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
