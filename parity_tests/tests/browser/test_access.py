"""Accessibility: axe-core, names, narrow windows, themes, motion."""

from pathlib import Path

import pytest

from .page import VIEWS, eventually, expect_state
from .page import browser as browser
from .page import folder as folder
from .page import opened as opened

pytestmark = pytest.mark.browser

WIDTHS = (1440, 360)


def violations(tab) -> list[str]:
    """What axe-core finds; run as text, as the page allows no script."""
    import axe_playwright_python

    folder = Path(axe_playwright_python.__file__).parent
    source = (folder / "axe.min.js").read_text(encoding="utf-8")
    tab.evaluate(f"() => {{ if (!window.axe) {{ {source} }} }}")
    results = tab.evaluate(
        "axe.run({ preload: false, resultTypes: ['violations'] })"
    )
    return [
        f"{rule['id']}: {node['html'][:120]}: "
        f"{node['failureSummary'][:160]}"
        for rule in results["violations"]
        for node in rule["nodes"]
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
def test_axe_finds_nothing_wrong_in_rare_states(opened, name, fragment):
    assert violations(opened(name, fragment, color_scheme="dark")) == []


def test_every_group_has_a_name(opened):
    tab = opened("one", "view=head")
    for role, name in (
        *(("tablist", "Views"), ("toolbar", "Heads"), ("listbox", "Keys")),
        *(("listbox", "Queries"), ("button", "Head 1, filled square")),
    ):
        group = tab.get_by_role(role, name=name, exact=True)
        assert group.count() == 1, name
    tab.click("#tab-model")
    expect_state(tab, view="model")
    grid = tab.get_by_role("group", name="Heads: arrow keys move")
    assert grid.count() == 1
    assert grid.get_by_role("button", name="L0 H1").count() == 1


@pytest.mark.parametrize("name", ["one", "two", "evil", "long"])
def test_a_narrow_window_does_not_scroll_sideways(opened, name):
    tab = opened(name, "several=1&heads=0,1&query=1", width=360)
    tab.click("#table-details > summary")
    for view in VIEWS:
        tab.click(f"#tab-{view}")
        expect_state(tab, view=view)
        tab.wait_for_timeout(50)
        wide = tab.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, view


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_auto_follows_the_system_and_a_choice_overrides_it(opened, theme):
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
def test_reduced_motion_has_no_transitions(opened, motion, still):
    tab = opened("one", "view=model", reduced_motion=motion)
    durations = tab.eval_on_selector_all(
        "*",
        "all => all.map((element) => [getComputedStyle(element)]"
        ".map((s) => s.transitionDuration + ' ' + s.animationName)[0])",
    )
    assert ({*durations} == {"0s none"}) == still


def test_each_canvas_is_hidden_from_screen_readers_and_described(opened):
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
