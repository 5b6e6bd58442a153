"""The sentence in a browser: tokens are chosen in it, for every view."""

import json

import numpy as np
import pytest

from bert_viz.page.file import page_of
from parity_tests.tests.page.cases import in_words

from .page import (
    CAUSAL,
    ONE,
    STEPS,
    VIEWS,
    eventually,
    expect_state,
    press,
    state,
    table,
    texts,
)
from .page import browser as browser
from .page import folder as folder
from .page import opened as opened

pytestmark = pytest.mark.browser

LINKS = "#chosen .link"


def chip(position: int) -> str:
    return f'.chip[data-token="{position}"]'


def pressed(tab) -> list[int]:
    return tab.eval_on_selector_all(
        '.chip[aria-pressed="true"]',
        "all => all.map((chip) => Number(chip.dataset.token))",
    )


def strongest(query: int, key: int) -> list[str]:
    """The five heads with the largest weights, as the page names them."""
    steps = STEPS[..., query, key]
    order = np.argsort(-steps, axis=None, kind="stable")[:5]
    heads = [np.unravel_index(place, steps.shape) for place in order]
    return [
        f"L{layer} H{head}{in_words(steps[layer, head])}"
        for layer, head in heads
    ]


@pytest.mark.parametrize("view", VIEWS)
def test_two_clicks_rank_the_heads_that_link_two_tokens(opened, view):
    tab = opened("one", f"view={view}")
    tab.click(chip(2))
    expect_state(tab, view=view, token=2, query=2, key=None)
    eventually(tab, lambda: pressed(tab), [2])
    tab.click(chip(5))
    expect_state(tab, view=view, token=None, query=2, key=5, sort="link")
    eventually(tab, lambda: pressed(tab), [2, 5])
    both = strongest(2, 5) + strongest(5, 2)
    eventually(tab, lambda: texts(tab, LINKS), both)
    tab.click(f"{LINKS} >> nth=1")
    layer, head = map(int, both[1].split("0.")[0][1:].split(" H"))
    expect_state(
        tab, view="head", layer=layer, heads=[head], query=2, key=5
    )


def test_all_heads_are_sorted_by_that_weight(opened):
    tab = opened("one", "view=model")
    tab.click(chip(2))
    tab.click(chip(5))
    expect_state(tab, sort="link")
    shown = texts(tab, ".thumbnail .head-name")
    assert shown[:5] == strongest(2, 5)
    assert len(shown) == 12
    tab.click(chip(1))  # a new choice, in the model's order
    expect_state(tab, token=1, query=1, key=None, sort="model")
    eventually(tab, lambda: texts(tab, ".thumbnail .head-name")[0], "L0 H0")
    tab.click(chip(1))
    expect_state(tab, token=None, query=None, key=None)


def test_one_token_is_read_from_both_sides_of_the_head_shown(opened):
    tab = opened("one", "view=head&layer=1&heads=2&threshold=0")
    tab.click(chip(4))
    expect_state(tab, token=4)
    row, column = STEPS[1, 2, 4], STEPS[1, 2, :, 4]
    beside = ".row[data-{}] .value"
    for side, weights in (("key", row), ("query", column)):
        shown = [*map(in_words, weights)]
        at = beside.format(side)
        eventually(tab, lambda at=at: texts(tab, at), shown)
    said = tab.inner_text("#chosen")
    for weights, verb in ((row, "looks at"), (column, "looked at by")):
        first = ONE.tokens[int(weights.argmax())]
        assert f"{verb} {first} {in_words(weights.max())} ±" in said
    bars = tab.eval_on_selector_all(
        ".chip",
        "all => all.map((chip) => [chip.style.getPropertyValue('--from'),"
        " chip.style.getPropertyValue('--to')].map(Number))",
    )
    np.testing.assert_allclose(bars, np.stack([row, column], 1), atol=1e-6)


def test_the_keyboard_chooses_too_and_nothing_is_dropped(opened):
    tab = opened("one", "view=model")
    press(chip(0), "ArrowRight", "ArrowRight", "Enter")(tab)
    expect_state(tab, token=2)
    press(chip(2), "ArrowRight", "Space")(tab)
    expect_state(tab, query=2, key=3)
    for view in VIEWS:
        tab.click(f"#tab-{view}")
        expect_state(tab, view=view, query=2, key=3)
    link = tab.get_attribute("#link", "href")
    fresh = opened("one", link.removeprefix("#"))
    assert state(fresh) == state(tab)
    assert pressed(fresh) == [2, 3]


def test_a_key_is_chosen_beside_a_query(opened):
    tab = opened("one", "view=head")
    tab.click('.row[data-query="2"]')
    tab.click('.row[data-key="5"]')
    expect_state(tab, query=2, key=5)
    tab.click('.row[data-key="5"]')
    expect_state(tab, query=2, key=None)


def test_a_difference_has_its_sentence_as_soon_as_there_is_one(opened):
    tab = opened("special", "view=model&text=difference")
    assert "the same number of tokens" in tab.inner_text("#view-model")
    assert texts(tab, ".chip") == []
    tab.check("#special")
    tokens = ["[CLS]", "cat", "[SEP]"]
    eventually(tab, lambda: texts(tab, ".chip"), tokens)
    assert tab.locator(".thumbnail").count() == 2


def test_what_is_masked_links_nothing(opened):
    tab = opened("causal")
    tab.click(chip(1))
    tab.click(chip(3))
    expect_state(tab, query=1, key=3)
    eventually(
        tab,
        lambda: "masked in every head" in tab.inner_text("#chosen"),
        True,
    )
    back = np.rint(CAUSAL.weights[..., 3, 1] * 255).max() / 255
    assert in_words(back) in texts(tab, LINKS)[0]
    assert len(texts(tab, LINKS)) == 5


def test_back_returns_to_what_was_chosen_and_skips_what_was_dragged(opened):
    tab = opened("one", "view=head&threshold=0.05")
    tab.click(chip(2))
    expect_state(tab, token=2)
    tab.focus("#threshold")
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    expect_state(tab, threshold=0.08)
    tab.click("#tab-metrics")
    expect_state(tab, view="metrics")
    tab.go_back()
    expect_state(tab, view="head", token=2, threshold=0.08)
    tab.go_back()
    expect_state(tab, view="head", token=None)
    eventually(tab, lambda: pressed(tab), [])
    tab.go_forward()
    expect_state(tab, view="head", token=2)


def test_of_several_heads_the_numbers_are_those_of_the_last(opened):
    tab = opened("one", "view=neuron&several=1&heads=0&query=1")
    tab.click('#heads [data-head="3"]')
    expect_state(tab, heads=[0, 3], head=3)

    def stored():
        return [row[-1] for row in table(tab, "softmax")]

    expected = [f"{step:.3f}" for step in STEPS[0, 3, 1]]
    eventually(tab, stored, expected)
    tab.select_option('[data-pick="head"]', "0")
    expect_state(tab, head=0)
    eventually(tab, stored, [f"{step:.3f}" for step in STEPS[0, 0, 1]])


def test_paper_is_light(opened):
    tab = opened("one", "view=head&theme=dark")
    theme = "document.documentElement.dataset.theme"
    assert tab.evaluate(theme) == "dark"
    tab.emulate_media(media="print")
    eventually(tab, lambda: tab.evaluate(theme), "light")
    assert not tab.is_visible("#options")
    tab.emulate_media(media="screen")
    eventually(tab, lambda: tab.evaluate(theme), "dark")


def test_a_page_in_a_frame_saves_a_copy_that_opens_at_the_view(
    browser, tmp_path
):
    """A frame has no address: its link once loaded the notebook there."""
    page = page_of(ONE, start="view=model")
    tab = browser.new_page()
    notebook = tmp_path / "notebook.html"
    notebook.write_text("<iframe sandbox='allow-scripts allow-downloads'>")
    tab.goto(notebook.as_uri())
    tab.evaluate(
        "page => { document.querySelector('iframe').srcdoc = page; }", page
    )
    frame = tab.frame_locator("iframe")
    frame.locator(chip(2)).click()
    frame.locator("#tab-head").click()
    link = frame.locator("#link")
    assert link.inner_text() == "save this view as a page"
    follow = "(link) => addEventListener('click', (event) => {"
    link.evaluate(f"{follow} window.goes = !event.defaultPrevented; }})")
    with tab.expect_download() as download:
        link.click()
    assert link.evaluate("() => window.goes") is False
    assert download.value.suggested_filename == "attention.html"
    assert frame.locator(chip(2)).is_visible()
    copy = tmp_path / "copy.html"
    download.value.save_as(copy)
    tab.goto(copy.as_uri())
    tab.evaluate("attentionPage.ready")
    expect_state(tab, view="head", token=2, query=2)
    data = json.loads(tab.text_content("#data"))
    assert data | {"start": "view=model"} == json.loads(
        page.split('id="data">')[1].split("</script>")[0]
    )
    tab.close()
