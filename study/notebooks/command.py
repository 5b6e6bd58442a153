"""`twice notebooks`: write the notebooks into a folder.

They are kept as Markdown and built here, without outputs. A notebook that
a reader has worked in is never overwritten: its metadata hold a hash of
the cells it came with. Running it is not changing it, because the hash is
of the cells' sources alone.
"""

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from numpy_ref.files import write_file

HELP = """
Write the lessons into a folder, as Jupyter notebooks.

They come without outputs, for you to run and to answer. A notebook that
you have changed is never overwritten: as long as one stands in the way,
nothing is written at all.
"""
MADE_BY = "attention_twice"  # the key of our metadata
NEEDED = '"attention-twice[torch,bert,test,notebooks]"'


def notebooks(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder to write into; created if missing."),
    ] = Path("."),
) -> None:
    built = {
        folder / f"{name}.ipynb": build(name) for name in notebook_names()
    }
    create(folder)
    check_unchanged([*built])
    for path, notebook in built.items():
        if is_the_same(path, notebook):
            print(f"{path}: already there")
        else:
            write(path, notebook)
            print(path)
    print(
        f"To run them: pip install {NEEDED}, then open them in Jupyter or "
        "an editor"
    )


def create(folder: Path) -> None:
    """Create a folder with its parents, unless it is there already."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"expected a folder to write notebooks into, got {folder}: "
            f"{error.strerror}"
        ) from error


def notebook_names() -> list[str]:
    """The names of the notebooks, without a suffix."""
    sources = files(__package__).iterdir()
    return sorted(
        source.name.removesuffix(".md")
        for source in sources
        if source.name.endswith(".md")
    )


def build(name: str):
    """A notebook from its Markdown, with a hash of its cells."""
    import jupytext

    source = files(__package__).joinpath(f"{name}.md")
    notebook = jupytext.reads(source.read_text(encoding="utf-8"), "myst")
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{name}-{index}"  # the same each time
    notebook.metadata.pop("jupytext", None)
    notebook.metadata[MADE_BY] = {"cells": hash_of(notebook)}
    return notebook


def hash_of(notebook) -> str:
    """Hash of what a reader may change: the sources of non-empty cells."""
    hashed = hashlib.sha256()
    for cell in notebook.cells:
        if cell.source.strip():
            hashed.update(f"{cell.cell_type}\0{cell.source}\0".encode())
    return hashed.hexdigest()


def check_unchanged(paths: list[Path]) -> None:
    """Raise ValueError when a file is no longer as it was written."""
    changed = [path for path in paths if path.exists() and is_changed(path)]
    if changed:
        raise ValueError(
            "expected to overwrite only unchanged notebooks, got "
            f"{' and '.join(map(str, changed))}; move "
            f"{'it' if len(changed) == 1 else 'them'} away, or name "
            "another folder"
        )


def is_changed(path: Path) -> bool:
    """Whether it was changed, or did not come from here at all."""
    notebook = read(path)
    if notebook is None:
        return True
    ours = notebook.metadata.get(MADE_BY, {})
    return ours.get("cells") != hash_of(notebook)


def is_the_same(path: Path, notebook) -> bool:
    """Whether it is there already; its outputs are then kept."""
    existing = read(path) if path.exists() else None
    return existing is not None and hash_of(existing) == hash_of(notebook)


def read(path: Path):
    """The notebook in a file, or None when it holds none."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, nbformat.ValidationError):
        return None


def write(path: Path, notebook) -> None:
    """Write a notebook. Raises ValueError when that cannot be done."""
    import nbformat

    data = nbformat.writes(notebook, version=4)
    write_file(path, f"{data}\n".encode())
