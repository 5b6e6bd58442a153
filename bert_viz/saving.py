"""Files, written whole or not at all; plots among them.

A plot is a PNG, an SVG or a PDF that says in words what it shows. The
same plot gives the same bytes each time: no file has a date in it.
"""

from io import BytesIO
from pathlib import Path

from numpy_ref.rank_files import write_whole

SUFFIXES = (".png", ".svg", ".pdf")
CREATOR = "Attention, Twice"
DPI = 130
# A file that is the same tomorrow, with its words as words.
STABLE = {"svg.hashsalt": "attention-twice", "svg.fonttype": "none"}


def save(drawn, path: str | Path) -> None:
    """Write a Figure, or the one that an Axes is in, whole or not at all.

    Its title and description are in the file, for those who cannot see
    it. Raises ValueError for another suffix, for a folder that does not
    exist, and where nothing can be written.
    """
    from .describing import description_of, title_of

    path = Path(path)
    check_path(path)
    figure = drawn.figure.figure  # an Axes may be in a part of a figure
    words = title_of(figure), description_of(figure)
    write(path, file_of(figure, path.suffix.lower(), *words))


def check_path(
    path: Path,
    suffixes: tuple[str, ...] = SUFFIXES,
    name: str = "the file of a plot",
) -> None:
    """Raise ValueError for a file that could not be written anyway."""
    if path.suffix.lower() not in suffixes:
        *most, last = suffixes
        ends = f"{', '.join(most)} or {last}" if most else last
        raise ValueError(f"expected {name} to end with {ends}, got {path}")
    if not path.parent.is_dir():
        raise ValueError(
            f"expected a folder to write {path.name} into, "
            f"got {path.parent}, which is none"
        )


def file_of(
    figure, suffix: str, title: str, description: str, creator=CREATOR
) -> bytes:
    """A figure as the file of that suffix."""
    import matplotlib

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
    file = BytesIO()
    with matplotlib.rc_context(STABLE):
        figure.savefig(
            file, format=suffix[1:], dpi=DPI, metadata=metadata[suffix]
        )
    return file.getvalue()


def write(path: Path, data: bytes) -> None:
    """Raises ValueError when nothing can be written there."""
    try:
        write_whole(path, data)
    except OSError as error:
        raise ValueError(
            f"expected to write {path}, got {error.strerror or error}"
        ) from error
