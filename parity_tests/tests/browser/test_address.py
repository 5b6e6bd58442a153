"""The address in a browser: kept, followed and shared."""

import pytest

from .page import browser as browser
from .page import eventually, expect_state, state
from .page import folder as folder
from .page import opened as opened

pytestmark = pytest.mark.browser

ELSEWHERE = (
    "view=head&layer=2&heads=1,3&several=1&query=4&threshold=0.2&special=0"
    "&words=1&theme=dark"
)


def test_the_address_survives_a_reload_and_is_followed(opened):
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
