"""The site's card: the picture of it that a link's preview shows.

Drawn when the site is built: what the project is, beside the weights of
the worked example.
"""

from io import BytesIO
from pathlib import Path

from numpy_ref import example

from .pages.files import write_bytes_if_new

NAME = "card.png"
SIZE = (1200, 630)  # pixels, the proportion that previews show
DPI = 100
ALT = (
    "Attention, Twice: every step from text to attention, in NumPy and in "
    "PyTorch, beside the weights of four tokens as fractions"
)
INK, MUTED, BLUE, VIOLET = "#1b1f24", "#59636e", "#0a7d91", "#8045e5"


def write_card(folder: Path) -> None:
    """Draw the card into a folder, unless it was drawn from this code."""
    path = folder / NAME
    made_of = (Path(__file__), Path(example.__file__))
    newest = max(source.stat().st_mtime for source in made_of)
    if not path.is_file() or path.stat().st_mtime < newest:
        write_bytes_if_new(path, card())
        path.touch()


def card() -> bytes:
    """The card as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure([side / DPI for side in SIZE], DPI, facecolor="white")
    write_words(figure)
    draw_weights(figure.add_axes((0.6, 0.16, 0.36, 0.686)))
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Description": ALT})
    return file.getvalue()


def write_words(figure) -> None:
    """The name, the equation, and what stands in the two columns."""
    left = 0.06
    figure.text(left, 0.78, "Attention, Twice", size=42, weight="bold")
    figure.text(
        *(left, 0.6),
        r"$\mathrm{softmax}(QK^{\mathsf{T}}/\sqrt{d}\,)\,V$",
        size=30,
        color=INK,
        math_fontfamily="cm",
    )
    figure.text(
        *(left, 0.4),
        "Every step from text to attention,\nwritten twice, proven equal.",
        size=21,
        color=MUTED,
        linespacing=1.4,
    )
    for x, name, colour in (
        (left, "NumPy", BLUE),
        (left + 0.17, "PyTorch", VIOLET),
    ):
        figure.text(x, 0.2, name, size=26, weight="bold", color=colour)
    figure.text(left + 0.13, 0.2, "=", size=26, color=MUTED)


def draw_weights(axes) -> None:
    """The weights of the example, as fractions on a heat map."""
    weights = [[float(weight) for weight in row] for row in example.WEIGHTS]
    axes.imshow(weights, cmap="GnBu", vmin=0, vmax=1.15)
    for query, row in enumerate(example.WEIGHTS):
        for key, weight in enumerate(row):
            ink = "white" if weight > 0.6 else INK
            text = str(weight) if example.MASK[query, key] else "·"
            axes.text(
                *(key, query, text),
                size=24,
                color=ink,
                ha="center",
                va="center",
            )
    places = range(len(example.TOKENS))
    axes.set_xticks(places, example.TOKENS)
    axes.set_yticks(places, example.TOKENS)
    axes.tick_params(length=0, labelsize=17, labelcolor=MUTED, top=True)
    axes.tick_params(labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
