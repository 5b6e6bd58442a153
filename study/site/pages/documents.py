"""Documents: the pages of `docs/`, with links that lead into the site.

A link to a file of the reference or to a notebook leads to its page, one to
any other file of the project to a page that shows the file.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

import numpy_ref

LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]*)(#[^)\s]*)?(?=\))")
LANGUAGES = {".py": "python", ".cfg": "ini", ".toml": "toml", ".md": "md"}


def checkout() -> Path:
    """The folder of the project's sources.

    Raises ValueError where it was installed without its documents.
    """
    root = Path(numpy_ref.__path__[0]).parent
    if not (root / "docs").is_dir():
        raise ValueError(
            "expected a clone of the project, which has docs/, got an "
            f"installed one in {root}; clone it and run `twice study` there"
        )
    return root


def document_pages(
    reference: dict[str, str], others: Iterable[str] = ()
) -> Iterator[tuple[str, str]]:
    """The pages of docs/ and of the files that they lead to.

    `reference` has the document of each file that has a page of its own,
    by the file's path in the project; `others` are files to which other
    pages lead.
    """
    root, linked = checkout(), set(others)
    for path in sorted((root / "docs").glob("*.md")):
        name = "map" if path.stem == "README" else path.stem
        text = path.read_text("utf-8")
        yield (
            f"docs/{name}",
            LINK.sub(
                lambda link: target_of(link, root, reference, linked), text
            ),
        )
    for path in sorted(linked):
        yield source_document(path), source_page(root, path)


def in_order_of_the_map(names: Iterable[str]) -> list[str]:
    """The pages of docs/ as their map lists them, the map first."""
    listed = (checkout() / "docs" / "README.md").read_text("utf-8")
    return sorted(names, key=lambda name: listed.find(f"({name[5:]}.md)"))


def target_of(
    link: re.Match, root: Path, reference: dict[str, str], linked: set[str]
) -> str:
    """Where a link of docs/ leads to within the site."""
    address, anchor = link[1], link[2] or ""
    path = normpath(f"docs/{address}")
    if path.startswith("docs/") and not path.endswith("README.md"):
        return link[0]
    special = {"README.md": "index", "docs/README.md": "docs/map"}
    document = special.get(path) or reference.get(path)
    if document is None and (root / path).is_file():
        linked.add(path)
        document = source_document(path)
    if document is None:  # a folder
        document = "reference/index"
    keeps = document == special.get("docs/README.md")
    return f"{relpath(document, 'docs')}.md{anchor if keeps else ''}"


def source_document(path: str) -> str:
    return f"sources/{path.replace('/', '-').replace('.', '-')}"


def source_page(root: Path, path: str) -> str:
    """A page that shows a file as it is."""
    language = LANGUAGES.get(PurePosixPath(path).suffix, "text")
    code = (root / path).read_text("utf-8")
    head = f"---\norphan: true\n---\n\n# {path}"
    return f"{head}\n\n`````{language}\n{code}`````\n"
