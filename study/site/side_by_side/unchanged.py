"""Unchanged: whether a source is what it was, in what somebody needs of it.

Only a text that has changed is looked at closer, which takes longer.
"""

import ast
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef


def checksums(path: Path, needed: Callable[[str], str]) -> list[str]:
    """Checksums of a text, and of what is `needed` of it."""
    text = path.read_text("utf-8")
    return [checksum(text), checksum(needed(text))]


def is_unchanged(
    path: Path, before: Sequence[str], needed: Callable[[str], str]
) -> bool:
    """Whether what is `needed` of a file is as it was, by the checksums
    that it had before."""
    if not path.is_file():
        return False
    text = path.read_text("utf-8")
    of_text, of_needed = before
    if checksum(text) == of_text:
        return True
    try:
        return checksum(needed(text)) == of_needed
    except SyntaxError:
        return False


def checksum(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@cache
def code_of(source: str) -> str:
    """The lines of a source that are not of docstrings.

    >>> code_of('def one():\\n    \"\"\"One.\"\"\"\\n    return 1')
    'def one():\\n\\n    return 1'
    """
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, False):
            first = node.body[0]
            docstring = range(first.lineno - 1, first.end_lineno)
            for line in docstring:
                lines[line] = ""
    return "\n".join(lines)
