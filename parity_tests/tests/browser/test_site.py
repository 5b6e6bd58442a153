"""The study site in a real browser: from disk, without network."""

import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import nbformat
import numpy as np
import pytest
from filelock import FileLock

from numpy_ref.attention import softmax_with_temperature
from parity_tests.exact import exact_steps
from parity_tests.tests.study.test_notebooks import (
    NOTEBOOKS,
    WITHOUT_NETWORK,
    expect_good,
)

from .page import browser as browser

pytestmark = pytest.mark.browser
MOST = 20_000_000  # bytes of the whole site
HALF_A_DIGIT = 0.5001e-4  # of four after the point


@pytest.fixture(scope="module")
def site(tmp_path_factory, browser):
    """The site, built once: by that of several processes which is first."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    folder = place / "site"
    command = Path(sys.executable).with_name("twice")
    with FileLock(place / "site.lock"):
        if not (place / "site.built").exists():
            options = ["--no-open", "--out", folder]
            subprocess.run(
                [command, "study", *options],
                env=os.environ | WITHOUT_NETWORK,
                check=True,
            )
            (place / "site.built").touch()
    return folder / "html"


@pytest.fixture
def opened(browser, site):
    """Open a page; at the end nothing unexpected happened."""
    contexts, unexpected = [], []

    def open_page(name, width=1440, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            offline=True,
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: unexpected.append(str(error)))
        tab.on("requestfailed", lambda r: unexpected.append(r.url))
        tab.on("console", lambda m: said(m, unexpected))
        tab.goto((site / name).as_uri())
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert unexpected == []


def pages_of(site: Path) -> list[Path]:
    """All pages, without what the theme ships beside its styles."""
    pages = sorted(site.rglob("*.html"))
    return [page for page in pages if "_static" not in page.parts]


def test_the_site_is_no_larger_than_it_may_be(site):
    files = [path for path in site.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST


def said(message, unexpected: list) -> None:
    """Keep what the console warns of; the theme also says what it does."""
    if message.type in ("warning", "error"):
        unexpected.append(message.text)


@pytest.mark.parametrize("part", range(4))
def test_every_page_opens_without_an_error_and_is_no_wider_than_a_phone(
    opened, site, part
):
    """In a wide window, one page of each kind is opened by axe's test."""
    pages = pages_of(site)
    assert len(pages) > 40
    tab = opened("index.html", 360)
    for page in pages[part::4]:
        tab.goto(page.as_uri())
        assert tab.title(), page
        wide = tab.evaluate(
            "document.documentElement.scrollWidth > innerWidth"
        )
        assert not wide, page


def test_both_codes_of_a_step_stand_in_one_row_and_differ_where_marked(
    opened, site
):
    tab, rows = opened("index.html"), 0
    for page in sorted((site / "reference").glob("*.html")):
        tab.goto(page.as_uri())
        for left, right in tab.evaluate(CODES):
            rows += 1
            assert unmarked(left) == unmarked(right)
            assert left["marked"] or right["marked"]
    assert rows > 100


@pytest.mark.parametrize("width", [1440, 1024, 360])
def test_every_equation_stays_within_its_place(opened, site, width):
    tab, equations = opened("index.html", width), 0
    for page in sorted((site / "reference").glob("*.html")):
        tab.goto(page.as_uri())
        count, beyond = tab.evaluate(EQUATIONS)
        equations += count
        assert beyond == [], page
    assert equations > 500


# How many there are, with called functions opened, and what is too wide.
EQUATIONS = """() => {
  document.querySelectorAll("details").forEach((one) => (one.open = true));
  const shown = [...document.querySelectorAll(".step > .what")]
    .filter((what) => what.querySelector("math"));
  const right = (part) => part.getBoundingClientRect().right;
  const beyond = shown.filter((what) =>
    [...what.querySelectorAll(".equation *")]
      .some((part) => right(part) > right(what) + 2));
  return [shown.length, beyond.map((what) => what.textContent.trim())];
}"""


CODES = """() => [...document.querySelectorAll(".step:not(.same)")]
  .map((step) => [...step.querySelectorAll("pre")])
  .filter((codes) => codes.length === 2)
  .map((codes) => codes.map((code) => {
    code.querySelectorAll(".comment").forEach((c) => c.remove());
    const marked = [...code.querySelectorAll("mark")];
    const all = code.textContent;
    const texts = marked.map((mark) => mark.textContent);
    marked.forEach((mark) => (mark.textContent = " \\u0001 "));
    return { all, marked: texts, rest: code.textContent };
  }))"""


def unmarked(code: dict) -> list[str]:
    """The words that are not marked, in order."""
    pieces = code["rest"].split("\u0001")
    words = chain.from_iterable(piece.split() for piece in pieces)
    return [c for word in words for c in word]


def test_a_name_lights_up_in_equation_codes_and_title(opened):
    tab = opened("reference/attention.html")
    step = tab.locator("#attention-scores .step", has_text="similarity =")
    step.first.locator('pre [data-name]:text-is("query")').first.hover()
    lit = tab.locator("#attention-scores .lit")
    texts = {text.strip() for text in lit.all_text_contents()}
    assert texts == {"query", "Q"}


def test_one_side_can_be_chosen_and_is_remembered(opened):
    tab = opened("reference/attention.html")
    torch = tab.locator("#softmax .side-1").first
    assert torch.is_visible()
    tab.locator("#softmax button.view", has_text="NumPy").click()
    assert not torch.is_visible()
    tab.reload()
    torch.wait_for(state="hidden")
    assert tab.locator("#softmax .side-0").first.is_visible()
    tab.locator("#softmax button.view", has_text="Math").click()
    assert not tab.locator("#softmax .codes").first.is_visible()


def test_a_choice_is_followed_by_the_pages_that_are_open(opened):
    first = opened("reference/attention.html")
    second = first.context.new_page()
    second.goto(first.url)
    torch = second.locator("#softmax .side-1").first
    assert torch.is_visible()
    first.locator("#softmax button.view", has_text="NumPy").click()
    torch.wait_for(state="hidden")


def test_a_table_of_steps_is_one_stop_and_arrows_lead_through_it(opened):
    tab = opened("reference/attention.html")
    steps = tab.locator("#softmax > .side-by-side .step")
    stops = steps.evaluate_all(
        "all => all.filter(s => s.tabIndex === 0).length"
    )
    assert stops == 1
    steps.first.focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    label = "document.activeElement.getAttribute('aria-label')"
    assert tab.evaluate(label) == "step 3 of 6, exponentials"
    tab.keyboard.press("End")
    assert tab.evaluate(label) == "step 6 of 6, returns, same in both"


def test_a_switch_breaks_the_step(opened):
    tab = opened("reference/attention.html")
    shown = tab.locator("#softmax .break-it div.version:visible")
    assert "fails" not in shown.inner_text()
    assert "def softmax" in shown.inner_text()
    tab.locator("#softmax select.version").select_option(
        label="the softmax is applied twice"
    )
    assert "softmax(softmax(scores))" in shown.inner_text()
    light = shown.locator("li", has_text="One weight divided by another")
    assert "fails on" in light.inner_text()


def test_equations_are_set_in_the_font_that_comes_with_the_site(opened):
    tab = opened("reference/attention.html")
    tab.evaluate("document.fonts.ready")
    loaded = """[...document.fonts].filter(font => font.status == "loaded")
        .map(font => font.family.replaceAll('"', ""))"""
    assert "STIX Two Math" in tab.evaluate(loaded)
    assert "STIX Two Math" in tab.evaluate(
        "getComputedStyle(document.querySelector('math')).fontFamily"
    )


def shown_weights(tab) -> list[list[float]]:
    """The weights beside the slider: all their digits, and as shown."""
    cells = tab.locator(".temperature tbody td:nth-child(2)")
    return cells.evaluate_all(
        "all => [all.map(c => Number(c.title)), "
        "all.map(c => Number(c.textContent))]"
    )


def test_at_each_temperature_the_slider_shows_numpy_s_weights(opened):
    tab = opened("claims/temperature.html")
    box = tab.locator(".temperature")
    scores, temperatures = (
        np.array(json.loads(box.get_attribute(f"data-{name}")))
        for name in ("scores", "temperatures")
    )
    slider = tab.get_by_role("slider", name="Temperature τ")
    for position in (0, 1, 7, 16, 20, 31, len(temperatures) - 1):
        slider.evaluate(
            "(slider, at) => { slider.value = at; slider.dispatchEvent("
            "new Event('input', { bubbles: true })); }",
            position,
        )
        arguments = {
            "scores": scores,
            "temperature": float(temperatures[position]),
        }
        ours = softmax_with_temperature(**arguments)
        exact = exact_steps("softmax_with_temperature", arguments)
        error = exact["weights"].error.astype(float)
        weights, rounded = shown_weights(tab)
        assert len(weights) == len(ours)
        assert (np.abs(ours - weights) <= 2 * error).all()
        assert np.abs(ours - rounded).max() <= HALF_A_DIGIT
        entropy = -(ours * np.log(ours)).sum()
        shown = float(tab.locator(".entropy span").inner_text())
        assert abs(entropy - shown) <= HALF_A_DIGIT


def test_the_slider_moves_by_keys_says_its_value_and_moves_the_line(opened):
    tab = opened("claims/temperature.html")
    slider = tab.get_by_role("slider", name="Temperature τ")
    spoken = "slider => slider.getAttribute('aria-valuetext')"
    assert slider.evaluate(spoken) == "1; weights 0.1429, 0.2857, 0.5714"
    line = "document.getElementById('now').getBoundingClientRect().x"
    before = tab.evaluate(line)
    slider.focus()
    for _ in range(4):
        tab.keyboard.press("ArrowLeft")
    assert slider.evaluate(spoken) == "0.5; weights 0.0476, 0.1905, 0.7619"
    assert tab.locator(".temperature .reading").inner_text() == "0.5"
    halfway = tab.evaluate(line)
    tab.keyboard.press("Home")
    assert tab.evaluate(line) < halfway < before
    assert slider.evaluate(spoken).startswith("0.0625; weights")


def test_search_finds_a_word_from_disk(opened):
    tab = opened("index.html")
    tab.goto(tab.url.replace("index.html", "search.html?q=similarity"))
    tab.wait_for_selector("#search-results li a", timeout=10_000)
    links = tab.locator("#search-results li a").all_text_contents()
    assert any("attention" in link for link in links)


def test_the_viewer_runs_within_its_page_and_alone(opened):
    tab = opened("viewer.html")
    frame = tab.frame_locator("iframe.viewer")
    frame.locator(".thumbnail[data-head='2']").first.click()
    frame.locator("#view-head").wait_for()  # a view is drawn after a click
    tab.get_by_role("link", name="Open this view alone").click()
    tab.wait_for_selector(".thumbnail")
    assert tab.url.endswith("viewer/bert.html")


def test_a_notebook_has_its_outputs(opened):
    tab = opened("notebooks/real_bert.html")
    assert tab.locator("article .warning").count() == 0
    assert tab.locator("iframe.viewer").count() == 6
    empty = "all => all.filter(i => !i.naturalWidth || !i.alt).length"
    pictures = tab.locator("article img")
    assert pictures.count() > 10
    assert pictures.evaluate_all(empty) == 0
    tab.locator("iframe.viewer").last.scroll_into_view_if_needed()
    last = tab.frame_locator("iframe.viewer").last
    last.locator("#views").wait_for()
    assert last.locator("#views [data-view]").count() == 4


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_run_of_a_notebook_gave_no_warning_and_right_answers(
    site, name
):
    """From a fresh kernel that could reach no network."""
    run = site.parent / "notebooks" / f"{name}.ipynb"
    expect_good(nbformat.read(run, as_version=4))


def test_an_index_shows_the_names_that_are_typed(opened):
    tab = opened("api/numpy_ref.html")
    names = tab.locator("dl.py.function:visible, dl.py.class:visible")
    assert names.count() > 200
    tab.get_by_label("Show names that contain").fill("MASKED_soft")
    shown = names.locator("dt .descname").all_text_contents()
    assert shown == ["masked_softmax", "masked_softmax_backward"]
    assert tab.locator("article h2:visible").count() == 1
    assert "2 of " in tab.locator(".filter [role=status]").inner_text()
    tab.get_by_label("Show names that contain").fill("")
    assert names.count() > 200


KINDS = (
    *("index", "reference/attention", "docs/judge", "walk", "in_class"),
    *("claims/temperature", "claims/causal", "claims/counts", "references"),
    *("notebooks/from_scratch", "notebooks/real_bert", "viewer"),
    *("api/bert_viz", "api/commands", "sources/numpy_ref-checked-py"),
)
ANYWHERE = ("index", "reference/attention")


@pytest.mark.parametrize(
    ("page", "width", "scheme"),
    [
        *((page, 1440, "light") for page in KINDS),
        *((page, 360, "dark") for page in KINDS),
        *((page, 360, "light") for page in ANYWHERE),
        *((page, 1440, "dark") for page in ANYWHERE),
    ],
)
def test_axe_finds_no_violation(opened, page, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    tab = opened(f"{page}.html", width, scheme)
    # Each frame of a notebook holds what the viewer's page holds.
    options = {
        "preload": False,
        "iframes": "notebooks" not in page,
        "resultTypes": ["violations"],  # or thousands that are none
    }
    found = Axe().run(tab, options=options).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:90]) for v in found] == []
