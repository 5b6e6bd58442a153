"""A page in a real browser, for the tests of what it shows.

It is opened from the disk, without network. An unexpected console
message, request or error fails the test in which it happens.

These tests need the extra `browser`, and a Chromium: the one that
ATTENTION_TWICE_BROWSER names, one that is installed, or playwright's own
(`playwright install chromium`). Without it they are skipped; but in CI,
with `-m browser`, they fail.

A test file imports all three fixtures, since each is looked up in the file
itself; `as` tells ruff that the import is meant.
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
    PADDED,
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
# Queries in 64 bits, which the page rounds to 32.
WIDE = attention_of(queries=ONE.queries[:2, :3].astype(np.float64) / 3)
CAUSAL = attention_of(GPT2_WORDS, causal=True)
SECOND = attention_of(("[CLS]", "the", *WORDS[2:]), 3, 4, seed=1)
SHORT = attention_of(WORDS[:4], 3, 4, seed=2)
# As long as each other without special tokens.
SPECIAL = tuple(
    attention_of(tokens, 1, 2)
    for tokens in (("[CLS]", "cat", "[SEP]"), ("cat", "[SEP]"))
)
ALONE = from_arrays(WORDS, one_named())
SMALL = attention_of(WORDS[:3], 1, 3)
# Nearly equal weights: 64 × 64 lines, none of which is 0.
LONG = attention_of(
    [f"t{position}" for position in range(64)], 1, 2, scale=0.2
)
EVIL = attention_of(HOSTILE)
PAGES = {
    "one": (ONE, None, (0, 1)),
    "pair": (PAIRED, None, (0,)),
    "causal": (CAUSAL, None, (0,)),
    "padded": (PADDED, None, (0,)),
    "two": (ONE, SECOND, (0,)),
    "unlike": (ONE, SHORT, (0,)),
    "special": (*SPECIAL, (0,)),
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
    chosen = os.environ.get("ATTENTION_TWICE_BROWSER")
    paths = [chosen, *map(shutil.which, names)]
    return next(filter(None, paths), None) or playwrights_own()


def playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).is_file() else None


def skip_without(request, reason: str) -> None:
    """Skip for that reason, if any; fail in CI with `-m browser`."""
    required = request.config.getoption("markexpr") == "browser"
    if reason and os.environ.get("CI") == "true" and required:
        pytest.fail(reason, pytrace=False)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def browser(request):
    """One browser for each file, closed with it: its loop ends there."""
    skip_without(request, reason_against())
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=executable(), args=["--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, browser):
    pages = tmp_path_factory.mktemp("pages")
    for name, (attention, other, layers) in PAGES.items():
        write_page(pages / f"{name}.html", attention, other, layers)
    return pages


@pytest.fixture
def opened(browser, folder):
    """Open a page at a view; at the end nothing unexpected happened."""
    contexts, unexpected = [], []

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
        watch(context, address, unexpected)
        tab = context.new_page()
        tab.goto(f"{address}#{fragment}")
        if options.get("java_script_enabled", True):
            tab.evaluate("attentionPage.ready")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert unexpected == [], unexpected


def watch(context, address: str, unexpected: list) -> None:
    """Let the page itself through, and record all other events."""

    def answer(route):
        if route.request.url.split("#")[0] == address:
            route.continue_()
        else:
            unexpected.append(f"request: {route.request.url[:99]}")
            route.abort()

    def failed(request):
        if not request.url.startswith("blob:"):  # a download, by its nature
            unexpected.append(f"failed: {request.url[:99]}")

    def dialog(opened):
        unexpected.append(f"dialog: {opened.message}")
        opened.dismiss()

    context.route("**/*", answer)
    context.on("requestfailed", failed)
    context.on("dialog", dialog)
    context.on(
        "weberror", lambda event: unexpected.append(f"{event.error}")
    )
    context.on(
        "console",
        lambda message: unexpected.append(
            f"{message.type}: {message.text}"
        ),
    )


# --- what a page shows ----------------------------------------------------


def eventually(tab, read_value: Callable, expected) -> None:
    """Wait for a value: drawing waits for arrays to be unpacked."""
    for _ in range(100 * PATIENCE):
        got = read_value()
        if got == expected:
            return
        tab.wait_for_timeout(10)
    assert got == expected, f"expected {expected!r}, got {got!r}"


def state(tab) -> dict:
    return tab.evaluate("attentionPage.state")


def expect_state(tab, **expected) -> None:
    def chosen():
        whole = state(tab)
        return {name: whole[name] for name in expected}

    eventually(tab, chosen, expected)
    tab.evaluate("new Promise((done) => requestAnimationFrame(done))")


def texts(tab, selector: str) -> list[str]:
    return tab.eval_on_selector_all(
        selector, "all => all.map((item) => item.textContent)"
    )


def table(tab, name: str, host: str = "") -> list[list[str]]:
    """The text of each cell in a table's body."""
    return tab.eval_on_selector_all(
        f'{host} table[data-table="{name}"] > tbody > tr',
        "rows => rows.map((row) => "
        "Array.from(row.cells, (cell) => cell.textContent))",
    )


def numbers(tab, name: str, part: str = "tbody") -> list[list[tuple]]:
    """For each cell with a number: the whole number, and the text shown."""
    return tab.eval_on_selector_all(
        f'table[data-table="{name}"] > {part} > tr',
        "rows => rows.map((row) => Array.from(row.querySelectorAll('data'),"
        " (cell) => [Number(cell.value), cell.textContent]))",
    )


def read(text: str) -> float:
    return float(text.replace("\u2212", "-"))


def weight_table(tab) -> list[list[float]]:
    if not tab.evaluate("document.getElementById('table-details').open"):
        tab.click("#table-details > summary")
    tab.wait_for_selector('#tables table[data-table="weights"]')
    return [[*map(read, row[1:])] for row in table(tab, "weights")]


def expect_table(tab, weights, pieces=1) -> None:
    """As near the model's weights as the caption says, to three digits."""
    shown = np.array(weight_table(tab))
    assert shown.shape == weights.shape, shown.shape
    stated = np.ceil(1000 * np.max(pieces) / 510 - 1e-6) / 1000
    (caption,) = texts(tab, "#tables caption")
    assert f"each number is ± {stated:.3f}" in caption, caption
    apart = abs(shown - weights)
    assert (apart <= np.array(pieces) / 510 + 6e-4).all(), apart.max()


# --- actions ---------------------------------------------------


def press(selector, *keys):
    def by_keyboard(tab):
        tab.focus(selector)
        for key in keys:
            tab.keyboard.press(key)

    return by_keyboard


def saved(tab, kind: str, by_keyboard: bool = False) -> bytes:
    with tab.expect_download() as download:
        if by_keyboard:
            press(f'[data-save="{kind}"]', "Enter")(tab)
        else:
            tab.click(f'[data-save="{kind}"]')
    view = state(tab)["view"]
    name = download.value.suggested_filename
    assert name == f"attention-{view}.{kind}", name
    return Path(download.value.path()).read_bytes()


def rows_of(content: bytes) -> list[dict]:
    text = StringIO(content.decode(), newline="")
    return [*csv.DictReader(text, strict=True)]
