"""Benchmark of pages: size and speed, beside those of BertViz.

    python -m benchmarks.pages

MiniLM's attention in the first 13, 128 and 512 tokens of The Verdict.
Sizes are those of the files, in millions of bytes; the queries, keys and
values of one layer come on top. "Written" is from the attention to the
file. "Drawn" is until the view of all heads is there, for us as the page
itself says (from the beginning of its loading), and for both sides from
the call to open the file until a picture of the screen could follow.
"Another head" is what the page says that it took to draw one, the median
of 20 moves in the view of one layer.

Both are opened in the same Chromium, without network, each in a window of
its own, three times; the median counts. BertViz's model view wants
RequireJS, jQuery and D3 from a CDN: where it asks for them, it is given
the files of `--libraries`, a folder in which require.js, jquery.min.js
and d3.min.js lie; so no network counts against it. It has no model view
of 512 tokens here: its file alone would be above 800 MB.

Needs the extra `browser`, and for the other side `pip install bertviz`.
"""

import argparse
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from bert_viz import Attention, attend
from bert_viz.page.file import write_page
from study.text.corpus import read_corpus

TURNS, MOVES = 3, 20
LIBRARIES = {
    "require": "require.js",
    "jquery": "jquery.min.js",
    "d3": "d3.min.js",
}
MOST_OF_THEIRS = 128  # tokens


class Reach(NamedTuple):
    """At most so many MB, and seconds; for the last, milliseconds."""

    page: float
    neuron: float
    drawn: float
    written: float | None = None
    move: float | None = None


REACHES = {
    13: Reach(0.2, 0.1, 0.3),
    128: Reach(1.0, 0.8, 0.5),
    512: Reach(10, 3, 2, written=3, move=50),
}


class Ours(NamedTuple):
    page: float
    neuron: float
    written: float
    drawn: float
    opened: float
    move: float


class Theirs(NamedTuple):
    page: float
    written: float
    opened: float


def text_of(tokens: int) -> Attention:
    """The beginning of The Verdict that has so many tokens, or just less.

    Words are cut from its end, because a word may have several tokens.
    """
    words = read_corpus("the-verdict").split()[:tokens]
    attention = attend(" ".join(words), truncate=True)
    while len(attention.tokens) > tokens:
        words.pop()
        attention = attend(" ".join(words), truncate=True)
    return attention


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def millions(path: Path) -> float:
    return path.stat().st_size / 1e6


def chromium() -> str | None:
    """The one that is named or installed; None is playwright's own."""
    names = "chromium", "chromium-browser", "google-chrome"
    named = os.environ.get("ATTENTION_TWICE_BROWSER")
    return next(filter(None, [named, *map(shutil.which, names)]), None)


# --- a window -------------------------------------------------------------


@contextmanager
def window(browser, libraries: Path | None = None) -> Iterator:
    """A fresh one, without network; a CDN's files come from a folder."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(300_000)

    def answer(route):
        name = route.request.url.rsplit("/", 1)[-1].split(".")[0]
        if route.request.url.startswith("file:"):
            route.continue_()
        elif libraries and name in LIBRARIES:
            route.fulfill(path=libraries / LIBRARIES[name])
        else:
            route.abort()

    context.route("**/*", answer)
    try:
        yield context.new_page()
    finally:
        context.close()


# After the next two frames all that was asked for is on the screen.
PAINTED = (
    "new Promise((done) => requestAnimationFrame(() => "
    "requestAnimationFrame(done)))"
)


def time_to_open(tab, path: Path, ready: str) -> float:
    def work():
        tab.goto(path.as_uri())
        tab.evaluate(ready)
        tab.evaluate(PAINTED)

    return seconds(work)


# --- ours -----------------------------------------------------------------


def ours(browser, folder: Path, attention: Attention) -> Ours:
    bare, page = folder / "bare.html", folder / "page.html"
    written = [
        seconds(lambda: write_page(bare, attention, neuron_layers=()))
        for _ in range(TURNS)
    ]
    write_page(page, attention, neuron_layers=(0,))
    drawn, opened, moves = [], [], []
    for turn in range(TURNS):
        with window(browser) as tab:
            opened.append(time_to_open(tab, bare, "attentionPage.ready"))
            drawn.append(tab.evaluate("attentionPage.drawnIn.model") / 1000)
            if turn == 0:
                moves = times_to_move(tab)
    return Ours(
        millions(bare),
        millions(page) - millions(bare),
        *map(median, (written, drawn, opened, moves)),
    )


def times_to_move(tab) -> list[float]:
    """Milliseconds from the click on another head until it is drawn."""
    tab.click("#tab-head")
    tab.evaluate(PAINTED)
    times = []
    for move in range(1, MOVES + 1):
        tab.click(f'#heads [data-head="{move % 12}"]')
        tab.evaluate(PAINTED)
        times.append(tab.evaluate("attentionPage.lastDraw.took"))
    return times


# --- theirs ---------------------------------------------------------------


def theirs(
    browser, folder: Path, attention: Attention, libraries: Path
) -> Theirs:
    path = folder / "bertviz.html"
    written = [
        seconds(lambda: write_theirs(path, attention)) for _ in range(TURNS)
    ]
    drawn = f"""(async () => {{
      const wanted = {attention.layers * attention.heads};
      while (document.querySelectorAll(".attn_background").length < wanted)
        await new Promise((done) => setTimeout(done, 1));
    }})()"""
    opened = []
    for _ in range(TURNS):
        with window(browser, libraries) as tab:
            opened.append(time_to_open(tab, path, drawn))
    return Theirs(millions(path), median(written), median(opened))


def write_theirs(path: Path, attention: Attention) -> None:
    import torch
    from bertviz import model_view

    layers = [torch.from_numpy(w)[None] for w in attention.weights]
    page = model_view(layers, [*attention.tokens], html_action="return")
    path.write_text(page.data, encoding="utf-8")


def reason_against_theirs(libraries: Path | None) -> str:
    """Why the other side cannot be measured; "" if it can."""
    try:
        import bertviz  # noqa: F401
    except ImportError as error:
        return f"no columns of BertViz: {error}; pip install bertviz"
    if libraries is None:
        return "no columns of BertViz: expected --libraries, got none"
    missing = [
        name
        for name in LIBRARIES.values()
        if not (libraries / name).is_file()
    ]
    if missing:
        return f"no columns of BertViz: {', '.join(missing)} not found"
    return ""


# --- the table ------------------------------------------------------------


def beside(number: float, reach: float | None, digits: int = 2) -> str:
    """A number, and what it should be at most."""
    text = f"{number:.{digits}f}"
    if reach is None:
        return text
    return f"{text} {'≤' if number <= reach else '> '} {reach:g}"


def row_of(tokens: int, mine: Ours, other: Theirs | None) -> list[str]:
    reach = REACHES[tokens]
    return [
        beside(mine.page, reach.page),
        beside(mine.neuron, reach.neuron),
        beside(mine.written, reach.written),
        beside(mine.drawn, reach.drawn),
        f"{mine.opened:.2f}",
        beside(mine.move, reach.move, 0),
        *(f"{number:.2f}" for number in other or ()),
    ]


COLUMNS = (
    *("page, MB", "one layer's neurons, MB", "written, s", "drawn, s"),
    *("opened, s", "another head, ms"),
    *("BertViz: MB", "written, s", "opened, s"),
)


def print_table(libraries: Path | None) -> None:
    from playwright.sync_api import sync_playwright

    reason = reason_against_theirs(libraries)
    table = Table("tokens")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    with TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = playwright.chromium.launch(executable_path=chromium())
        for tokens in REACHES:
            attention = text_of(tokens)
            mine = ours(browser, folder, attention)
            other = None
            if not reason and tokens <= MOST_OF_THEIRS:
                other = theirs(browser, folder, attention, libraries)
            row = row_of(tokens, mine, other)
            table.add_row(str(len(attention.tokens)), *row)
        version = browser.version
        browser.close()
    Console(width=130).print(table)
    print(f"medians of {TURNS}, of {MOVES} moves; Chromium {version}")
    if reason:
        print(reason)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--libraries",
        type=Path,
        help="the folder of require.js, jquery.min.js and d3.min.js",
    )
    print_table(parser.parse_args().libraries)


if __name__ == "__main__":
    main()
