"""Alternative texts: what a plot shows, in words, kept with it.

`describe` writes the title above an Axes and keeps title and text in its
label, which Matplotlib does not draw; `saving.save` reads them there.
"""

from textwrap import wrap

from matplotlib import font_manager, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..spelling import escaped

LAST_RESORT = "Last Resort High-Efficiency"  # has a box for any character
TITLE_SIZE = 10


def describe(axes: Axes, title: list[str], text: str) -> None:
    """Title an Axes, line by line, and keep its alternative text."""
    lines = [escaped(line) for line in title]
    axes.set_label(f"{'; '.join(lines)}\n{escaped(text)}")
    axes.set_title(wrapped(axes, lines), fontsize=TITLE_SIZE, **as_words())


def entitle(figure: Figure, title: list[str]) -> None:
    """Title a figure of several Axes, line by line."""
    lines = [escaped(line) for line in title]
    figure.set_label("; ".join(lines))
    text = wrapped(figure, lines)
    figure.suptitle(text, fontsize=TITLE_SIZE, **as_words())


def wrapped(drawn: Axes | Figure, lines: list[str]) -> str:
    """Lines wrapped to the width of an Axes or a figure."""
    width = drawn.get_window_extent().width / drawn.figure.dpi * 72
    room = max(int(width / (0.5 * TITLE_SIZE)), 24)
    return "\n".join(part for line in lines for part in wrap(line, room))


def title_of(figure: Figure) -> str:
    titles = "; ".join(title for title, _ in described(figure))
    return figure.get_label() or figure.get_suptitle() or titles


def description_of(figure: Figure) -> str:
    return " ".join(text for _, text in described(figure))


def described(figure: Figure) -> list[tuple[str, str]]:
    """Title and alternative text of each Axes that has one."""
    labels = [str(axes.get_label()) for axes in figure.axes]
    parts = [label.partition("\n") for label in labels]
    return [(title, text) for title, _, text in parts if text]


def as_words() -> dict:
    """Settings to draw any text literally.

    A $ begins no formula, and a character that no font has is a box.
    """
    fonts = list(rcParams["font.family"])
    if LAST_RESORT in font_manager.fontManager.get_font_names():
        fonts.append(LAST_RESORT)
    return {"parse_math": False, "usetex": False, "fontfamily": fonts}
