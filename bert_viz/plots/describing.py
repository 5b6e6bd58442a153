"""What a plot shows, in words, kept with it: its alternative text.

`describe` writes the title above an Axes and puts title and text into its
label, which nobody draws; `saving.save` finds them there.
"""

from textwrap import wrap

from matplotlib import font_manager, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..spelling import spelled

LAST_RESORT = "Last Resort High-Efficiency"  # has a box for any character
TITLE_SIZE = 10


def describe(axes: Axes, title: list[str], text: str) -> None:
    """Title an Axes, line by line, and keep what is to be seen in it."""
    lines = [spelled(line) for line in title]
    axes.set_label(f"{'; '.join(lines)}\n{spelled(text)}")
    axes.set_title(wrapped(axes, lines), fontsize=TITLE_SIZE, **as_words())


def entitle(figure: Figure, title: list[str]) -> None:
    """Title a figure of several Axes, line by line."""
    lines = [spelled(line) for line in title]
    figure.set_label("; ".join(lines))
    text = wrapped(figure, lines)
    figure.suptitle(text, fontsize=TITLE_SIZE, **as_words())


def wrapped(drawn: Axes | Figure, lines: list[str]) -> str:
    """Lines no longer than an Axes or a figure is wide."""
    width = drawn.get_window_extent().width / drawn.figure.dpi * 72
    room = max(int(width / (0.5 * TITLE_SIZE)), 24)
    return "\n".join(part for line in lines for part in wrap(line, room))


def title_of(figure: Figure) -> str:
    titles = "; ".join(title for title, _ in described(figure))
    return figure.get_label() or figure.get_suptitle() or titles


def description_of(figure: Figure) -> str:
    return " ".join(text for _, text in described(figure))


def described(figure: Figure) -> list[tuple[str, str]]:
    """Title and text of each Axes that was described."""
    labels = [str(axes.get_label()) for axes in figure.axes]
    found = [label.partition("\n") for label in labels]
    return [(title, text) for title, _, text in found if text]


def as_words() -> dict:
    """How text that may hold anything is drawn: as it stands.

    A $ begins no formula, and a character that no font has is a box.
    """
    fonts = list(rcParams["font.family"])
    if LAST_RESORT in font_manager.fontManager.get_font_names():
        fonts.append(LAST_RESORT)
    return {"parse_math": False, "usetex": False, "fontfamily": fonts}
