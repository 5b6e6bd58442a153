"""Revision: what every page of the site depends on, as one number.

A page is made again when a file changes that its code is made of. Values,
bounds, properties and templates come from this project's other files: when
one of those changes, or a library's version, all pages are made again.
"""

import ast
import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy_ref
import parity_tests
import study.site
import study.variance
import torch_impl

# Texts in Markdown become the sources of pages, and styles stand beside.
SUFFIXES = {".py", ".html", ".toml"}


def revision() -> str:
    """A checksum of the site's own files and of what measures and proves,
    with versions."""
    digest = hashlib.sha256()
    for package in ("numpy", "torch", "sphinx", "hypothesis", "mpmath"):
        digest.update(f"{package} {version(package)}\n".encode())
    for module in (study.site, study.variance, parity_tests):
        root = Path(module.__path__[0])
        for path in sorted(root.rglob("*")):
            if is_part(path.relative_to(root)):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def results_revision() -> str:
    """A checksum of all that the properties of the steps are asked with.

    Of the steps' own packages it is what they do that counts.
    """
    digest = hashlib.sha256(revision().encode())
    for module in (numpy_ref, torch_impl):
        for path in sorted(Path(module.__path__[0]).rglob("*.py")):
            digest.update(meaning_of(path.read_text("utf-8")).encode())
    return digest.hexdigest()


@cache
def meaning_of(source: str) -> str:
    """A checksum of what Python does by a source.

    Comments and docstrings are left out.

    >>> meaning_of("x = 1  # one") == meaning_of("x = 1")
    True
    """
    tree = ast.parse(source)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, False):
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def is_part(path: Path) -> bool:
    """Whether a page can depend on a file: not on tests."""
    return path.suffix in SUFFIXES and path.parts[0] != "tests"
