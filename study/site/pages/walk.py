"""The walk as a page: one sentence, from its characters through a block.

Each tensor that the walk's record keeps is drawn, with its shape in words,
what the two sides differ by, and the lines that compute it.
"""

from functools import cache
from html import escape
from pathlib import Path, PurePosixPath

import numpy as np
from jinja2 import Environment, StrictUndefined

from study.walk.block import walk_block
from study.walk.run import Shown, Walk
from study.walk.settings import Settings

from ..heat import heat
from ..values import checked
from .glossary import address_of

SENTENCE = "that cat sat at that mat"
SETTINGS = Settings(d_model=8, heads=2, dtype="float64")
TEXT = Path(__file__).with_name("walk.md")
TOKEN_AXES = ("positions", "queries", "keys")


def walk_page() -> str:
    """The page; each of its stops is shown once, in the walk's order.

    Raises ValueError where the text leaves one out, or where the two sides
    differ by more than rounding explains.
    """
    walk = the_walk()
    if not walk.tally.holds:
        raise ValueError(
            f"expected both sides to agree, got {walk.tally.worst}"
        )
    told: list[str] = []

    def stop(title: str) -> str:
        told.append(title)
        return drawn(shown_at(title), walk)

    page = Environment(undefined=StrictUndefined).from_string(
        TEXT.read_text("utf-8")
    )
    text = page.render(
        **walk.counts,
        sentence=SENTENCE,
        stop=stop,
        characters_and_bytes=characters_and_bytes(),
        merges=merges(walk),
        tokens_and_ids=tokens_and_ids(walk),
        heads=SETTINGS.heads,
        d_model=SETTINGS.d_model,
        compared=walk.tally.compared,
        share=f"{100 * walk.tally.worst.share:.0f}",
    )
    titles = [shown.stop.title for shown in walk.shown]
    if told != titles:
        raise ValueError(f"expected the stops {titles}, got {told}")
    return text


@cache
def the_walk() -> Walk:
    return walk_block(SENTENCE, SETTINGS)


def shown_at(title: str) -> Shown:
    """The stop of that title. Raises ValueError for no such stop."""
    for shown in the_walk().shown:
        if shown.stop.title == title:
            return shown
    raise ValueError(f"expected a stop of the walk, got {title}")


def drawn(shown: Shown, walk: Walk) -> str:
    """A stop: its equation and shape, its numbers, the check, the code."""
    stop, comparison = shown.stop, shown.comparison
    value = np.asarray(comparison.ours)
    file, name = shown.where.split(", ")
    step = PurePosixPath(comparison.path).name
    link = f"[`{name}`]({address_of(name)})"
    return (
        f"{{.equation}}\n`{stop.equation}`\n\n"
        f"{tensor(value, stop.axes, walk)}\n\n"
        f'<div class="value">{checked(comparison, None)}</div>\n\n'
        f"{{.asked}}\n`{step}` of {link}, in {file}\n\n"
        f"{code(shown)}"
    )


def tensor(value: np.ndarray, axes: tuple[str, ...], walk: Walk) -> str:
    """An array with its shape in words, its tokens at rows and columns."""
    tokens = [plain(token) for token in walk.tokens]
    names = [
        tokens if axis in TOKEN_AXES and size == len(tokens) else ()
        for axis, size in zip(axes, value.shape, strict=True)
    ]
    outer = axes[:-2] and value.shape[0]
    shape = " × ".join(
        f"{size} {axis}"
        for size, axis in zip(value.shape, axes, strict=True)
    )
    drawing = heat(
        value,
        names[-2] if len(names) > 1 else [axes[-1]],
        names[-1],
        [f"head {head}" for head in range(outer)] if outer else (),
        tuple(axis.removesuffix("s") for axis in ("rows", *axes)[-2:]),
    )
    return f'<p class="shape">{shape}</p>{drawing}'


def code(shown: Shown) -> str:
    """The lines that compute a step, from both sides, folded."""
    sides = {"NumPy": shown.numpy_lines, "PyTorch": shown.torch_lines}
    blocks = "\n\n".join(
        f"{side}\n\n```python\n{chr(10).join(lines)}\n```"
        for side, lines in sides.items()
    )
    return (
        "<details><summary>The lines that compute it</summary>\n\n"
        f"{blocks}\n\n</details>"
    )


def plain(token: str) -> str:
    """A token with its spaces to be seen."""
    return token.replace(" ", "␣")


def characters_and_bytes() -> str:
    """Each character above its byte."""
    return rows_of(
        {
            "character": [*map(plain, SENTENCE)],
            "byte": [*map(str, SENTENCE.encode())],
        }
    )


def tokens_and_ids(walk: Walk) -> str:
    return rows_of(
        {
            "position": [*map(str, range(len(walk.ids)))],
            "token": [*map(plain, walk.tokens)],
            "id": [*map(str, walk.ids)],
        }
    )


def rows_of(rows: dict[str, list[str]]) -> str:
    """Rows of a table, as wide as they are long."""
    title = " and ".join(rows)
    lines = "".join(
        f'<tr><th scope="row">{name}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for name, cells in rows.items()
    )
    return (
        f'<div class="numbers" role="group" tabindex="0" '
        f'aria-label="{title}"><table class="table cells">{lines}'
        "</table></div>"
    )


def merges(walk: Walk) -> str:
    """One word, merge by merge."""
    lines = "\n".join(plain(line) for line in walk.merging)
    return f"```text\n{lines}\n```"
