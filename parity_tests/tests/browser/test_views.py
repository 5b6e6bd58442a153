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
def test_every_view_draws_and_requests_nothing(opened, name):
    tab = opened(name, "threshold=0")
    for view in VIEWS:
        tab.click(f"#tab-{view}")
        expect_state(tab, view=view)
        panel = f"#view-{view}"
        eventually(tab, lambda at=panel: tab.is_visible(at), True)
        drawn = f"attentionPage.drawnIn['{view}'] > 0"
        eventually(tab, lambda script=drawn: tab.evaluate(script), True)
        others = [f"#view-{other}" for other in VIEWS if other != view]
        assert not any(map(tab.is_visible, others))
        shown = f"{panel} .host :not(.enlarged) > canvas"
        canvases = tab.eval_on_selector_all(shown, INKED)
        messages = texts(tab, f"{panel} .message")
        assert messages or canvases
        assert all(canvases)


def test_without_scripts_the_page_says_what_it_would_show(opened):
    tab = opened(java_script_enabled=False)
    assert tab.is_visible("noscript .message")
    assert "With scripts on" in tab.inner_text("noscript .message")


def test_missing_arrays_are_explained_in_their_views(opened):
    tab = opened("alone", "view=neuron")
    assert "This page has only weights" in tab.inner_text("#view-neuron")
    tab = opened("alone", "view=metrics")
    assert "no norms" in tab.inner_text("#view-metrics")
    tab = opened("one", "view=neuron&layer=2")
    assert "only of layer 0, 1, not of layer 2" in tab.inner_text(
        "#view-neuron"
    )


def test_the_legend_says_what_is_hatched_where_anything_is(opened):
    for name, is_masked in (
        ("causal", True),
        ("padded", True),
        ("one", False),
    ):
        caption = opened(name).inner_text("#view-model figcaption")
        assert ("Hatched cells are masked" in caption) == is_masked, name
