"""A page in a real browser, for the tests of what it shows.

It is opened from the disk, without network. A console message, a request
or an error that nobody asked for fails the test in which it happens.

Those tests need the extra `browser`, and a Chromium: the one that
ATTENTION_TWICE_BROWSER names, one that is installed, or playwright's own
(`playwright install chromium`). Without, they are skipped; but in CI,
where `-m browser` asks for them, they fail.

A file of such tests imports all three fixtures, as pytest looks there for
what one of them asks for; `as` tells ruff that each is meant.
"""

import csv
import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from bert_viz import from_arrays
from bert_viz.page.file import write_page
from bert_viz.page.packing import pack_weights, unpack
from parity_tests.tests.page.cases import (
    GPT2_WORDS,
    HOSTILE,
    PAIR,
    SEGMENTS,
    WORDS,
    attention_of,
    one_named,
)

VIEWS = ("model", "head", "neuron", "metrics")
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


NEEDED = {"playwright": "browser", "axe_playwright_python": "browser"}


def reason_against(needed: dict[str, str] = NEEDED) -> str:
    """What is missing of these packages, or the browser; or "".

    `needed` has for each package the extra that brings it.
    """
    for name, extra in needed.items():
        if find_spec(name) is None:
            return f"{name} is missing: pip install -e '.[{extra}]'"
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


def skip_without(request, reason: str) -> None:
    """Skip for that reason, if any; fail where CI asks for browsers."""
    asked = request.config.getoption("markexpr") == "browser"
    if reason and os.environ.get("CI") == "true" and asked:
        pytest.fail(reason, pytrace=False)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def browser(request):
    """Opened once a file; closed with it, so that no loop outlives it."""
    skip_without(request, reason_against())
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
    assert unasked == [], unasked


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


# --- what a page shows ----------------------------------------------------


def eventually(tab, ask: Callable, expected) -> None:
    """`ask()` comes to be that; drawing waits for what is unpacked."""
    for _ in range(100 * PATIENCE):
        found = ask()
        if found == expected:
            return
        tab.wait_for_timeout(10)
    assert found == expected, f"{found!r}, expected {expected!r}"


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


def weight_table(tab) -> list[list[float]]:
    if not tab.evaluate("document.getElementById('table-details').open"):
        tab.click("#table-details > summary")
    tab.wait_for_selector('#tables table[data-table="weights"]')
    return [[*map(read, row[1:])] for row in table(tab, "weights")]


def expect_table(tab, weights, pieces=1) -> None:
    """To the third digit; and near the model's, as the caption says."""
    shown = np.array(weight_table(tab))
    assert shown.shape == weights.shape, shown.shape
    stated = np.ceil(1000 * np.max(pieces) / 510 - 1e-6) / 1000
    (caption,) = texts(tab, "#tables caption")
    assert f"each number is ± {stated:.3f}" in caption, caption
    apart = abs(shown - weights)
    assert (apart <= np.array(pieces) / 510 + 6e-4).all(), apart.max()


# --- what is done to it ---------------------------------------------------


def press(selector, *keys):
    def by_keyboard(tab):
        tab.focus(selector)
        for key in keys:
            tab.keyboard.press(key)

    return by_keyboard


def saved(tab, kind: str, by_keyboard: bool = False) -> bytes:
    with tab.expect_download() as found:
        if by_keyboard:
            press(f'[data-save="{kind}"]', "Enter")(tab)
        else:
            tab.click(f'[data-save="{kind}"]')
    view = state(tab)["view"]
    name = found.value.suggested_filename
    assert name == f"attention-{view}.{kind}", name
    return Path(found.value.path()).read_bytes()


def rows_of(content: bytes) -> list[dict]:
    text = StringIO(content.decode(), newline="")
    return [*csv.DictReader(text, strict=True)]
