"""Every view in a browser: it draws, or says why it does not."""

import pytest

from .page import PAGES, VIEWS, eventually, expect_state, texts
from .page import browser as browser
from .page import folder as folder
from .page import opened as opened

pytestmark = pytest.mark.browser

# Whether each canvas has something on it.
INKED = """(all) => all.map((canvas) => {
  const context = canvas.getContext("2d");
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return data.some((part) => part > 0);
})"""


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
