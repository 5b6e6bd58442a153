"""Source: a file or a notebook is run, and what it defines is listed.

Reading a file means running it, statement by statement. What cannot be
run is noted, and costs only what it would have defined.
"""

import ast
import linecache
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType

from .calls import calls_of
from .literals import literals_of
from .magics import Shell, python_of
from .places import Place, extend_path, load, place_of, shadowed
from .reading import Cell, Unreadable, read_cells
from .statements import StatementRunner, safely

__all__ = ["Source", "Unreadable", "own_things", "run"]

WRAPPED = (
    *("__wrapped__", "func", "pyfunc"),  # functools, NumPy's vectorize
    *("_torchdynamo_orig_callable", "_torchdynamo_inline"),
)
DEEPEST = 20  # wrappers around one function


@dataclass
class Source:
    """A file that was run: its module, what could not be run, how it
    calls what it defines, and what it gives by name."""

    module: ModuleType
    notes: list[str]
    place: Place
    calls: dict[str, tuple[str, ...]]
    literals: dict[str, object]


@dataclass(frozen=True)
class Piece:
    """The statements of a cell, with `start` lines of others before it."""

    cell: Cell
    tree: ast.Module
    text: str
    start: int

    def where(self, statement: ast.stmt) -> str:
        return self.cell.where(statement.lineno - self.start)


def run(path: Path, seconds: float = 20.0) -> Source:
    """Run a file or a notebook; raise Unreadable if it is neither.

    What the file prints, writes and starts is not held back.
    """
    notes: list[str] = []

    def note(text: str) -> None:
        if text not in notes:
            notes.append(text)

    cells = read_cells(path, note)
    path = path.resolve()
    pieces = pieces_of(path, cells, note)
    is_notebook = path.suffix == ".ipynb"
    if is_notebook:
        remember_text(path, pieces)
    has_shell = is_notebook or pieces[0].text != cells[0].text
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if is_notebook else 0
    runner = StatementRunner(str(path), seconds, note, flags)

    def run_pieces(module: ModuleType) -> None:
        namespace = vars(module)
        if has_shell:
            shell = Shell(namespace, note)
            namespace["get_ipython"] = lambda: shell
        for piece in pieces:
            for statement in statements_of(piece):
                runner.run(statement, namespace, piece.where(statement))

    place = place_of(path, deepest_level(pieces))
    extend_path(place)
    module = load(place, run_pieces, seconds, note)
    notes += shadowed(place, imported_names(pieces))
    trees = [piece.tree for piece in pieces]
    told = calls_of(trees), literals_of(trees)
    source = Source(module, notes, place, *told)
    if len(pieces) < len(cells) and not own_things(source):
        raise Unreadable(f"{path.name} defines nothing: {notes[0]}")
    return source


# --- parsing -------------------------------------------------------------


def pieces_of(
    path: Path, cells: list[Cell], note: Callable[[str], None]
) -> list[Piece]:
    """The cells that can be parsed, their lines counted through."""
    pieces, start = [], 0
    for cell in cells:
        text = python_of(cell.text, note)
        try:
            tree = ast.parse(text, str(path))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
            where = cell.where(getattr(e, "lineno", None) or 1)
            reason = f"{where}: {type(e).__name__}: {getattr(e, 'msg', e)}"
            note(reason)
            continue
        ast.increment_lineno(tree, start)
        pieces.append(Piece(cell, tree, text, start))
        start += len(lines_of(text))
    if not pieces:
        raise Unreadable(
            f"expected Python {sys.version_info.major}."
            f"{sys.version_info.minor}, got {path.name}, {reason}; mend "
            "that first"
        )
    return pieces


def remember_text(path: Path, pieces: list[Piece]) -> None:
    """Let `inspect.getsource` see a notebook's cells as one text."""
    lines = [
        f"{line}\n" for piece in pieces for line in lines_of(piece.text)
    ]
    size = sum(map(len, lines))
    linecache.cache[str(path)] = size, None, lines, str(path)


def lines_of(text: str) -> list[str]:
    return text.split("\n")  # `splitlines` knows ends that Python doesn't


def statements_of(piece: Piece) -> Iterator[ast.stmt]:
    """The statements, without texts that stand alone: code left out.

    Run by itself, each would become the docstring of the module.
    """
    for index, statement in enumerate(piece.tree.body):
        is_text = (
            isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str)
        )
        is_docstring = index == 0 and piece.cell.number == 0
        if not is_text or is_docstring:
            yield statement


def deepest_level(pieces: list[Piece]) -> int:
    """The most dots of a relative import."""
    return max(
        (
            node.level
            for node in nodes_of(pieces)
            if isinstance(node, ast.ImportFrom)
        ),
        default=0,
    )


def imported_names(pieces: list[Piece]) -> set[str]:
    """The first parts of the names of all modules that are imported."""
    names = []
    for node in nodes_of(pieces):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module)
    return {name.partition(".")[0] for name in names}


def nodes_of(pieces: list[Piece]) -> Iterator[ast.AST]:
    for piece in pieces:
        yield from ast.walk(piece.tree)


# --- what it defines -----------------------------------------------------


def own_things(source: Source) -> dict[str, object]:
    """The functions and classes that a file defines, in its order.

    With what it imports from a neighbour, and what wraps such functions.
    """
    return {
        name: thing
        for name, thing in list(vars(source.module).items())
        if isinstance(name, str)
        and not name.startswith("_")
        and is_own(thing, source.place)
    }


def is_own(thing, place: Place) -> bool:
    """Whether a function or class, or what it wraps, is the file's own."""
    for _ in range(DEEPEST):
        if issubclass(type(thing), type | FunctionType):
            module = safely(getattr, thing, "__module__")
            if is_own_module(module, place):
                return True
        thing = wrapped_by(thing)
        if thing is None:
            return False
    return False


def is_own_module(name, place: Place) -> bool:
    if not isinstance(name, str):
        return False
    return name == place.name or place.is_neighbour(name)


def wrapped_by(thing):
    """The function within a wrapper that can be called; else None."""
    if not callable(thing):
        return None
    inner = (safely(getattr, thing, name) for name in WRAPPED)
    return next(filter(callable, inner), None)
