"""References: each cited work, and the places whose docstrings cite it.

Nothing is listed by hand: works are found in docstrings, in the notebooks
and in what a metric says of its source; issues and pull requests in the
docstrings of the bug zoo and of the judge.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bert_viz.measures.metrics import METRICS
from parity_tests import adapters, oracles
from study.notebooks.command import notebook_names
from study.notebooks.references import REFERENCES, cited_in

from . import notebooks
from .api import PACKAGES, page_of_step, tree_of
from .api import entry as entry_of
from .documents import checkout
from .reference import first_paragraph
from .zoo import bug_files

ARXIV = re.compile(r"arXiv:(\d+\.\d+)")
ISSUE = re.compile(
    r"(?P<project>[\w.-]+/[\w.-]+)\s+(?P<kind>issue|pull\s+request)s?\s+"
    r"(?P<number>\d+)"
)
START = Path(__file__).with_name("references.md")


@dataclass(frozen=True)
class Place:
    """Where a work is cited, and what stands there, in Markdown."""

    link: str
    about: str


# --- works ----------------------------------------------------------------


def sources() -> list[Path]:
    """All files of the library, by their paths in the project."""
    root = checkout()
    paths = [
        path.relative_to(root)
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
    ]
    return sorted(path for path in paths if path.parts[1] != "tests")


def docstrings() -> Iterator[tuple[Path, ast.AST, str]]:
    """Each docstring of the files that cite, with what it is of."""
    kinds = ast.Module | ast.FunctionDef | ast.ClassDef
    for path in filter(cites, sources()):
        tree = tree_of(".".join(path.with_suffix("").parts))
        for node in ast.walk(tree):
            docstring = isinstance(node, kinds) and ast.get_docstring(node)
            if docstring:
                yield path, node, docstring


def cites(path: Path) -> bool:
    """Whether a file cites anything: most do not, and need no parsing."""
    text = (checkout() / path).read_text("utf-8")
    return bool(cited_in(text) or ISSUE.search(text))


@cache
def citations() -> dict[str, list[Place]]:
    """The places that cite each work, in the order of the files."""
    cited = {}
    for path, node, docstring in docstrings():
        for work in cited_in(docstring):
            cited.setdefault(work, []).append(place(path, node, docstring))
    for metric in METRICS:
        for work in cited_in(metric.source):
            link = f"`{metric.name}`"
            about = f"a metric of heads, {as_it_is(metric.definition)}"
            cited.setdefault(work, []).append(Place(link, about))
    for name in notebook_names():
        title = notebooks.title_of(name)
        for work in cited_in(notebooks.source_of(name)):
            link = f"[{title}](notebooks/{name}.md)"
            cited.setdefault(work, []).append(Place(link, "a notebook"))
    return cited


def place(path: Path, node: ast.AST, docstring: str) -> Place:
    """A place in the code; it leads to its page, if it has one."""
    file, about = path.as_posix(), first_paragraph(docstring)
    if isinstance(node, ast.Module):
        return Place(f"`{file}`", about)
    module = ".".join(path.with_suffix("").parts)
    page = page_of_step(entry_of(module, node), folder="")
    name = f"`{node.name}`"
    link = f"[{name}]({page})" if page else name
    return Place(f"{link}, {file}", about)


def as_it_is(text: str) -> str:
    """Plain text as Markdown that shows just that."""
    return re.sub(r"([<>*_\[\]])", r"\\\1", text)


def works() -> str:
    """Each work with all that cites it, by its authors."""
    parts = []
    for work in sorted(REFERENCES):
        text = ARXIV.sub(
            r"[arXiv:\1](https://arxiv.org/abs/\1)", REFERENCES[work]
        )
        rows = [f"- {p.link}: {p.about}" for p in citations().get(work, ())]
        parts.append("\n".join([f"### {work}\n", f"{text}\n", *rows]))
    return "\n\n".join(parts)


# --- other implementations ------------------------------------------------


def implementations() -> str:
    """The libraries that ours are compared with, file by file."""
    rows = []
    for package in (oracles, adapters):
        folder = Path(package.__path__[0])
        for path in sorted(folder.glob("[!_]*.py")):
            docstring = ast.get_docstring(
                ast.parse(path.read_text("utf-8"))
            )
            file = path.relative_to(checkout()).as_posix()
            rows.append(f"- `{file}`: {first_paragraph(docstring)}")
    return "\n".join(rows)


def reports() -> str:
    """Issues and pull requests, by project, and the bugs they report."""
    numbers = {
        path.stem: number for number, path in enumerate(bug_files(), 1)
    }
    found = {}
    for path, _, docstring in docstrings():
        for match in ISSUE.finditer(docstring):
            page = f"https://github.com/{match['project']}/{kind(match)}"
            link = f"[{match['number']}]({page}/{match['number']})"
            bug = numbers.get(path.stem)
            where = f"`{path.as_posix()}`"
            if bug is not None and path.parts[1] == "bug_zoo":
                where = f"[bug {bug}](find_the_bug.md#bug-{bug})"
            found.setdefault(match["project"], []).append((link, where))
    rows = [
        f"- {project}: "
        + ", ".join(
            f"{link} ({where})" for link, where in dict.fromkeys(of)
        )
        for project, of in sorted(
            found.items(), key=lambda item: item[0].lower()
        )
    ]
    return "\n".join(rows)


def kind(match: re.Match) -> str:
    return "pull" if match["kind"].startswith("pull") else "issues"


def references_page() -> str:
    """The page of all works and implementations that are cited."""
    return (
        START.read_text("utf-8")
        .replace("WORKS", works())
        .replace("IMPLEMENTATIONS", implementations())
        .replace("REPORTS", reports())
    )
