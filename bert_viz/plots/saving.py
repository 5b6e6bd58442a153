"""Saving plots: PNG, SVG or PDF, written whole or not at all.

Each file says in words what it shows. The same plot gives the same bytes
each time: no file has a date in it.
"""

import warnings
from io import BytesIO
from pathlib import Path

from numpy_ref.files import check_path, write_file

SUFFIXES = (".png", ".svg", ".pdf")
CREATOR = "Attention, Twice"
DPI = 130
MOST_NAMED = 12  # characters
# The same file tomorrow, with its text as text.
STABLE = {"svg.hashsalt": "attention-twice", "svg.fonttype": "none"}


def save(drawn, path: str | Path) -> None:
    """Save a Figure, or the one that an Axes is in, whole or not at all.

    The file holds its title and description, for those who cannot see
    it. Raises ValueError for another suffix, for a folder that does not
    exist, and where nothing can be written.
    """
    from .describing import description_of, title_of

    path = Path(path)
    check_path(path, SUFFIXES, "the file of a plot")
    figure = drawn.figure.figure  # an Axes may be in a part of a figure
    texts = title_of(figure), description_of(figure)
    write_file(path, file_of(figure, path.suffix.lower(), *texts))


def file_of(
    figure, suffix: str, title: str, description: str, creator=CREATOR
) -> bytes:
    """A figure as the file of that suffix."""
    import matplotlib

    from .fonts import give_fonts

    metadata = {
        ".png": {"Title": title, "Description": description},
        ".svg": {
            "Title": title,
            "Description": description,
            "Creator": creator,
            "Date": None,
        },
        ".pdf": {
            "Title": title,
            "Subject": description,
            "Creator": creator,
            "CreationDate": None,
        },
    }
    # In SVG a text stays text, in the fonts of whoever looks at it.
    missing = "" if suffix == ".svg" else give_fonts(figure)
    if missing:
        warnings.warn(no_font_has(missing), stacklevel=3)
    file = BytesIO()
    with matplotlib.rc_context(STABLE):
        figure.savefig(
            file, format=suffix[1:], dpi=DPI, metadata=metadata[suffix]
        )
    return file.getvalue()


def no_font_has(characters: str) -> str:
    """What is said of characters that are drawn as boxes."""
    shown = " ".join(characters[:MOST_NAMED])
    more = len(characters) - MOST_NAMED
    return (
        f"drawn as boxes: {shown}"
        + f" and {more} more" * (more > 0)
        + "; no font that Matplotlib finds has them (Noto CJK or Symbola, "
        "for example, would)"
    )
