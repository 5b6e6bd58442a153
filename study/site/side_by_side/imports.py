"""Imports: the files of a package that a file is made of."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path


def files_behind(file: Path, root: Path) -> set[Path]:
    """A file, and all that it imports from its own package, and so on.

    What a function gives depends on all of them.
    """
    found, waiting = set(), [file]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += imported_by(path, root)
    return found


@cache
def imported_by(file: Path, root: Path) -> list[Path]:
    """The files of the package that a file imports itself."""
    tree = ast.parse(file.read_text("utf-8"))
    names = [
        name
        for node in ast.walk(tree)
        for name in modules_of(node, file, root)
    ]
    paths = [root.joinpath(*name.split(".")) for name in names]
    files = [path.with_suffix(".py") for path in paths]
    return [path for path in files if path.is_file()]


def modules_of(node: ast.AST, file: Path, root: Path) -> Iterator[str]:
    """The modules that an import may name, as seen from the package."""
    if not isinstance(node, ast.ImportFrom):
        return
    if node.level:
        folder = file.parents[node.level - 1].relative_to(root)
        start = [*folder.parts]
    elif node.module and node.module.split(".")[0] == root.name:
        start = []
    else:
        return
    module = (node.module or "").split(".") if node.module else []
    parts = [*start, *(module if node.level else module[1:])]
    yield ".".join(parts)
    for name in node.names:
        yield ".".join([*parts, name.name])
