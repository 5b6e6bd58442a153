"""Revision: what every page of the site depends on, as one number.

A page is made again when a file changes that its code is made of. Values,
bounds, properties and templates come from this project's other files: when
one of those changes, or NumPy or PyTorch, all pages are made again.
"""

import hashlib
from importlib.metadata import version
from pathlib import Path

import parity_tests
import study.site

# Texts in Markdown become the sources of pages, and styles stand beside.
SUFFIXES = {".py", ".html", ".toml"}


def revision() -> str:
    """A checksum of the site's own files and the proofs', with versions."""
    digest = hashlib.sha256()
    for package in ("numpy", "torch", "sphinx"):
        digest.update(f"{package} {version(package)}\n".encode())
    for module in (study.site, parity_tests):
        root = Path(module.__path__[0])
        for path in sorted(root.rglob("*")):
            if is_part(path.relative_to(root)):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def is_part(path: Path) -> bool:
    """Whether a page can depend on a file: not on tests."""
    return path.suffix in SUFFIXES and path.parts[0] != "tests"
