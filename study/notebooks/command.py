"""`twice notebooks`: the notebooks, where the reader wants them.

They are kept as Markdown and built here, without outputs. A notebook that
a reader has worked in is never written over: its metadata hold a hash of
the cells it came with. To run it is not to change it, because a hash is
of sources alone.
"""

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from numpy_ref.files import write_file

HELP = """
Write the notebooks into a folder, as .ipynb files without outputs. One that
was changed there is never written over: then nothing is written at all.
"""
MADE_BY = "attention_twice"  # the key of our metadata
NEEDED = '"attention-twice[torch,bert,test,notebooks]"'


def notebooks(
    folder: Annotated[
        Path, typer.Argument(help="A folder that exists; else this one.")
    ] = Path("."),
) -> None:
    if not folder.is_dir():
        raise ValueError(
            f"expected a folder to write notebooks into, got {folder}, "
            "which is none"
        )
    built = {
        folder / f"{name}.ipynb": build(name) for name in notebook_names()
    }
    check_unchanged([*built])
    for path, notebook in built.items():
        if is_the_same(path, notebook):
            print(f"{path}: is there already")
        else:
            write(path, notebook)
            print(path)
    print(f"To run them: pip install {NEEDED}, and Jupyter or an editor")


def notebook_names() -> list[str]:
    """The notebooks that there are, without their suffix."""
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
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{name}-{number}"  # the same each time
    notebook.metadata.pop("jupytext", None)
    notebook.metadata[MADE_BY] = {"cells": hash_of(notebook)}
    return notebook


def hash_of(notebook) -> str:
    """Of what a reader may change: the sources of cells, unless empty."""
    hashed = hashlib.sha256()
    for cell in notebook.cells:
        if cell.source.strip():
            hashed.update(f"{cell.cell_type}\0{cell.source}\0".encode())
    return hashed.hexdigest()


def check_unchanged(paths: list[Path]) -> None:
    """Raise ValueError when a file there is not as it was written."""
    changed = [path for path in paths if path.exists() and is_changed(path)]
    if changed:
        raise ValueError(
            "expected to write over nothing that was changed, got "
            f"{' and '.join(map(str, changed))}; move "
            f"{'it' if len(changed) == 1 else 'them'} away, or name "
            "another folder"
        )


def is_changed(path: Path) -> bool:
    """True as well for a file that did not come from here."""
    notebook = read(path)
    if notebook is None:
        return True
    ours = notebook.metadata.get(MADE_BY, {})
    return ours.get("cells") != hash_of(notebook)


def is_the_same(path: Path, notebook) -> bool:
    """Whether it is there already; its outputs are then kept."""
    found = read(path) if path.exists() else None
    return found is not None and hash_of(found) == hash_of(notebook)


def read(path: Path):
    """A notebook, or None for what is none."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, nbformat.ValidationError):
        return None


def write(path: Path, notebook) -> None:
    """Raises ValueError when nothing can be written there."""
    import nbformat

    data = nbformat.writes(notebook, version=4)
    write_file(path, f"{data}\n".encode())
