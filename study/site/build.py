"""Building the site: its sources written into a folder, then Sphinx.

Sphinx reads and writes in as many processes as there are cores, and what
takes long is done when a page is read: examples and properties computed,
libraries asked, notebooks run.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from itertools import chain, islice
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from sphinx.application import Sphinx
from sphinx.errors import SphinxError, SphinxParallelError
from sphinx.util.parallel import make_chunks

from parity_tests.judge.steps.all_properties import (
    judged_steps,
    properties_of,
)
from parity_tests.twins.finding import twin_files
from study.notebooks.command import notebook_names

from .breaking import BREAKABLE
from .card import write_card
from .claims.pages import claim_pages, claim_tests
from .kept import Kept
from .math_font import write_font
from .pages.api import api_pages
from .pages.classroom import classroom_page
from .pages.conventions import PAGE as CONVENTIONS
from .pages.conventions import Conventions, time_machine_page
from .pages.documents import (
    checkout,
    document_pages,
    in_order_of_the_map,
)
from .pages.files import write_bytes_if_new, write_if_new
from .pages.glossary import glossary_page, pages_of_steps
from .pages.notebooks import FOLDER as NOTEBOOKS
from .pages.notebooks import Pages as NotebookPages
from .pages.reference import (
    front_page,
    how_to_read,
    in_order,
    name_of,
    reference_pages,
)
from .pages.references import references_page
from .pages.viewer import viewer_page
from .pages.walk import walk_page
from .pages.zoo import zoo_page
from .proof import file_of
from .revision import results_revision

HERE = Path(__file__).parent
# The text of an error that another process had, behind its class and the
# name of a handler in which it was raised.
TEXT = re.compile(
    r"[\w.]+: (?:Handler .* threw an exception \(exception: (.*)\)|(.*))",
    re.DOTALL,
)


def build(folder: Path, twice, address: str = "", run: bool = True) -> Path:
    """Build the site in a folder; return its first page.

    What is there of an earlier build is used where its sources are the
    same. `twice` is the command whose options are listed, `address` where
    the site will be published; without `run`, no notebook is run.

    Raises ValueError for a folder that cannot be written, for a source
    that does not parse, for a notebook that fails, and for anything that
    Sphinx warns of.
    """
    source = folder / "source"
    try:
        source.mkdir(parents=True, exist_ok=True)
        notebooks = NotebookPages(
            folder / "notebooks", folder / "extra", again=run
        )
        conventions = Conventions(folder / "conventions.json")
        with one_thread():
            names = write_sources(source, twice, notebooks, conventions)
            late = (notebooks.read, conventions.read)
            return run_sphinx(folder, len(names), late, address)
    except OSError as error:
        raise ValueError(
            f"expected a folder to write the site into, got {folder}: "
            f"{error.strerror}"
        ) from error
    except SphinxParallelError as error:
        raise ValueError(text_of(str(error))) from error
    except SphinxError as error:
        cause = getattr(error, "orig_exc", None) or error
        raise ValueError(str(cause)) from error


def text_of(error: str) -> str:
    """What an error of another process says.

    >>> text_of("sphinx.errors.ExtensionError: expected a file, got none")
    'expected a file, got none'
    """
    match = TEXT.fullmatch(error)
    return (match[1] or match[2]) if match else error


@contextmanager
def one_thread() -> Iterator[None]:
    """Have PyTorch compute in one thread: there is a process a core.

    A process that was forked cannot use the threads of another, either.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_sphinx(
    folder: Path, pages: int, late: Iterable[Callable], address: str
) -> Path:
    """Run Sphinx over the sources, with a bar for what is read and made.

    `late` complete the sources of some pages when those are read.
    """
    warnings = StringIO()
    console = Console(stderr=True)
    with Progress(
        console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        bar = progress.add_task("building the site", total=2 * pages)
        app = Sphinx(
            srcdir=folder / "source",
            confdir=HERE,
            outdir=folder / "html",
            doctreedir=folder / "doctrees",
            buildername="html",
            status=None,
            warning=warnings,
            warningiserror=True,
            parallel=os.cpu_count() or 1,
            confoverrides={
                "html_baseurl": address,
                "html_extra_path": [str(folder.resolve() / "extra")],
            },
        )
        app.connect("env-before-read-docs", slow_first)
        for read in late:
            app.connect("source-read", read)
        show(app, lambda pages: progress.advance(bar, pages))
        app.build()
    if app.statuscode:
        raise ValueError(warnings.getvalue().strip())
    write_font(folder / "html" / "_static")
    return folder / "html" / "index.html"


def slow_pages() -> list[str]:
    """The pages that take longest to read, the slowest ones first."""
    return [
        *(f"{NOTEBOOKS}/{name}" for name in notebook_names()),
        CONVENTIONS,
        *dict.fromkeys(pages_of_steps()[name] for name in BREAKABLE),
    ]


def slow_first(app, env, docnames: list[str]) -> None:
    """Have Sphinx read slow pages first, each in another process.

    A process reads a chunk of the pages as they are listed. The first
    chunks are read at once, the others from the last one backwards.
    """
    cores = app.parallel
    sizes = [len(chunk) for chunk in make_chunks(docnames, cores)]
    places = [*range(len(sizes))]
    in_turn = places[:cores] + places[cores:][::-1]
    slow = [name for name in slow_pages() if name in docnames]
    quick = iter(name for name in docnames if name not in slow)
    chunks = [slow[in_turn.index(place) :: len(sizes)] for place in places]
    for size, chunk in zip(sizes, chunks, strict=True):
        chunk += islice(quick, max(0, size - len(chunk)))
    docnames[:] = chain(*chunks)


def show(app: Sphinx, advance: Callable[[int], None]) -> None:
    """Count the pages that are read and written.

    Only in the process that shows them: one that was forked may not wait
    for the threads of the bar, which it does not have.
    """
    shown_by = os.getpid()

    def one(*_) -> None:
        if os.getpid() == shown_by:
            advance(1)

    app.connect("source-read", one)
    app.connect("env-merge-info", lambda *args: advance(len(args[2])))
    app.connect("doctree-resolved", one)


def write_sources(
    folder: Path,
    twice,
    notebooks: NotebookPages,
    conventions: Conventions,
) -> set[str]:
    """Write the source of every page; return the names of the pages.

    One that is the same stays, so that it is not made again; one that is
    no longer a page goes.
    """
    pages = all_pages(folder.parent, twice)
    pages[CONVENTIONS] = conventions.source()
    pages |= dict(notebooks.sources(folder))
    write_card(folder.parent / "extra")
    for name, text in pages.items():
        write_if_new(folder / f"{name}.md", text)
    for path in folder.rglob("*.md"):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name not in pages:
            path.unlink()
    for picture in (checkout() / "docs").glob("*.png"):
        copy = folder / "docs" / picture.name
        write_bytes_if_new(copy, picture.read_bytes())
    return set(pages)


def all_pages(folder: Path, twice) -> dict[str, str]:
    """The source of each page, by its document's name, but of those that
    are completed when they are read."""
    tests = {
        file_of(each)
        for step in judged_steps()
        for each in properties_of(step)
    }
    kept = Kept(folder / "kept", results_revision())
    documents = dict(document_pages(own_pages(), tests | claim_tests()))
    guides = [name for name in documents if name.startswith("docs/")]
    files = [name_of(file) for file in in_order()]
    api = dict(api_pages(twice))
    lessons = [f"{NOTEBOOKS}/{name}" for name in notebook_names()]
    return {
        "index": front_page(),
        "reference/index": how_to_read() + toctree(files),
        "docs/index": listing("The guides", in_order_of_the_map(guides)),
        "find_the_bug": zoo_page(),
        "time_machine": time_machine_page(),
        "glossary": glossary_page(),
        "notebooks/index": listing("The notebooks", lessons),
        "viewer": viewer_page(folder / "extra"),
        "in_class": classroom_page(),
        "references": references_page(),
        "api/index": listing("The API", api),
        **api,
        "walk": walk_page(),
        **dict(claim_pages(kept)),
        **dict(reference_pages()),
        **documents,
    }


def own_pages() -> dict[str, str]:
    """The page of each file that has one of its own, by the file's path."""
    reference = {
        f"{package}/{file}": name_of(file)
        for package in ("numpy_ref", "torch_impl")
        for file in twin_files()
    }
    return reference | {
        f"study/notebooks/{name}.md": f"{NOTEBOOKS}/{name}"
        for name in notebook_names()
    }


def listing(title: str, names: Iterable[str]) -> str:
    """A page that leads to others."""
    return f"# {title}\n\n{toctree(names)}"


def toctree(names: Iterable[str]) -> str:
    entries = "\n".join(f"/{name}" for name in names)
    return f"```{{toctree}}\n{entries}\n```\n"
