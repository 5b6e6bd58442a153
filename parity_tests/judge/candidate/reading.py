"""Reading: the text of a Python file, or of each cell of a notebook."""

import json
import os
import stat
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class Unreadable(ValueError):
    """A file that is no Python; its text says what would help."""


@dataclass(frozen=True)
class Cell:
    """A cell of code in a notebook; a file is a cell without a number."""

    text: str
    number: int = 0

    def where(self, line: int) -> str:
        at_line = f"line {line}"
        return f"cell {self.number}, {at_line}" if self.number else at_line


def read_cells(path: Path, note: Callable[[str], None]) -> list[Cell]:
    """The cells of a notebook, or the one text of a Python file."""
    expect_regular_file(path)
    if path.suffix not in (".py", ".ipynb"):
        raise Unreadable(
            f"expected a Python file or a notebook, got {path.name}"
        )
    text = read_text(path)
    if not text.strip():
        raise Unreadable(
            f"expected a Python file, got {path.name}, which is empty"
        )
    if path.suffix == ".py":
        return [Cell(text)]
    return cells_of(text, path.name, note)


def expect_regular_file(path: Path) -> None:
    """A folder has no text, and a pipe would be waited for."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise Unreadable(f"expected a Python file: {error}") from error
    if stat.S_ISDIR(mode):
        raise Unreadable(
            f"expected a Python file, got the folder {path.name}; "
            "name a file in it"
        )
    if not stat.S_ISREG(mode):
        raise Unreadable(
            f"expected a Python file, got {path.name}, which is a pipe or "
            "a device; save what it holds in a file"
        )


def read_text(path: Path) -> str:
    """The text, in the encoding that its first lines declare (PEP 263)."""
    try:
        if b"\0" in path.read_bytes():
            raise Unreadable(
                f"expected text, got {path.name}, which has null bytes: "
                "it is binary, or saved as UTF-16; save it as UTF-8"
            )
        with tokenize.open(path) as file:
            return file.read()
    except (SyntaxError, UnicodeDecodeError) as error:
        raise Unreadable(
            f"expected text in UTF-8 or in the encoding that it declares, "
            f"got {path.name}: {error}; save it as UTF-8"
        ) from error
    except OSError as error:
        raise Unreadable(f"expected a Python file: {error}") from error


# --- notebooks -----------------------------------------------------------


def cells_of(
    text: str, file_name: str, note: Callable[[str], None]
) -> list[Cell]:
    """The cells of code, numbered from 1; a broken one costs only itself.

    Notebooks before version 4 keep their cells in worksheets.
    """
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(
            f"expected a notebook, got {file_name}, which is no JSON: "
            f"{error}; save it again in Jupyter"
        ) from error
    raw_cells = member(notebook, "cells") or [
        cell
        for sheet in as_list(member(notebook, "worksheets"))
        for cell in as_list(member(sheet, "cells"))
    ]
    if not as_list(raw_cells):
        raise Unreadable(
            f"expected a notebook with a list of cells, got {file_name} "
            "without; save it again in Jupyter"
        )
    cells = [
        Cell(source_of(cell), number)
        for number, cell in enumerate(filter(may_be_code, raw_cells), 1)
    ]
    for cell in cells:
        if cell.text is None:
            note(f"cell {cell.number}: expected lines of text, got none")
    cells = [cell for cell in cells if cell.text is not None]
    if not cells:
        raise Unreadable(
            f"expected a notebook with cells of code, got {file_name} "
            "without"
        )
    return cells


def may_be_code(cell) -> bool:
    """A cell of code, or one of which that cannot be told."""
    return member(cell, "cell_type") in ("code", None)


def source_of(cell) -> str | None:
    """The source of a cell, which is a text or a list of lines."""
    source = member(cell, "source")
    source = member(cell, "input") if source is None else source
    lines = [source] if isinstance(source, str) else source
    if not isinstance(lines, list):
        return None
    if not all(isinstance(line, str) for line in lines):
        return None
    return "".join(lines).replace("\r\n", "\n").replace("\r", "\n")


def member(holder, name: str):
    return holder.get(name) if isinstance(holder, dict) else None


def as_list(value) -> list:
    return value if isinstance(value, list) else []
