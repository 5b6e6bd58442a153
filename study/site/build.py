"""Building the site: its sources written into a folder, then Sphinx."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from sphinx.application import Sphinx
from sphinx.errors import SphinxError

from parity_tests.judge.steps.all_properties import (
    judged_steps,
    properties_of,
)
from parity_tests.twins.finding import twin_files
from study.notebooks.command import notebook_names

from .card import write_card
from .claims.pages import claim_pages, claim_tests
from .math_font import write_font
from .pages.api import api_pages
from .pages.classroom import classroom_page
from .pages.conventions import conventions_page, time_machine_page
from .pages.documents import checkout, document_pages
from .pages.files import write_bytes_if_new, write_if_new
from .pages.glossary import glossary_page
from .pages.notebooks import Pages as NotebookPages
from .pages.notebooks import runs
from .pages.reference import front_page, in_order, name_of, reference_pages
from .pages.references import references_page
from .pages.viewer import viewer_page
from .pages.walk import walk_page
from .pages.zoo import zoo_page
from .proof import file_of

HERE = Path(__file__).parent


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
        with ThreadPoolExecutor() as pool:
            notebooks = NotebookPages(
                runs(folder / "notebooks", pool, run), folder / "extra"
            )
            names = write_sources(source, twice, notebooks)
            return run_sphinx(folder, 2 * len(names), notebooks, address)
    except OSError as error:
        raise ValueError(
            f"expected a folder to write the site into, got {folder}: "
            f"{error.strerror}"
        ) from error
    except SphinxError as error:
        cause = getattr(error, "orig_exc", None) or error
        raise ValueError(str(cause)) from error


def run_sphinx(
    folder: Path, pages: int, notebooks: NotebookPages, address: str
) -> Path:
    """Run Sphinx over the sources, with a bar for what is read and made."""
    warnings = StringIO()
    console = Console(stderr=True)
    with Progress(
        console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        bar = progress.add_task("building the site", total=pages)
        app = Sphinx(
            srcdir=folder / "source",
            confdir=HERE,
            outdir=folder / "html",
            doctreedir=folder / "doctrees",
            buildername="html",
            status=None,
            warning=warnings,
            warningiserror=True,
            confoverrides={
                "html_baseurl": address,
                "html_extra_path": [str(folder.resolve() / "extra")],
            },
        )
        app.connect("env-before-read-docs", notebooks.last)
        app.connect("source-read", notebooks.read)
        for event in ("source-read", "html-page-context"):
            app.connect(event, lambda *_: progress.advance(bar))
        app.build()
    if app.statuscode:
        raise ValueError(warnings.getvalue().strip())
    write_font(folder / "html" / "_static")
    return folder / "html" / "index.html"


def write_sources(
    folder: Path, twice, notebooks: NotebookPages
) -> set[str]:
    """Write the source of every page; return the names of the pages.

    One that is the same stays, so that it is not made again; one that is
    no longer a page goes.
    """
    pages = all_pages(folder.parent, twice)
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
    """The source of each page but the notebooks, by its document's name."""
    reference = {
        f"{package}/{file}": name_of(file)
        for package in ("numpy_ref", "torch_impl")
        for file in twin_files()
    }
    tests = {
        file_of(each)
        for step in judged_steps()
        for each in properties_of(step)
    }
    documents = dict(document_pages(reference, tests | claim_tests()))
    guides = [name for name in documents if name.startswith("docs/")]
    files = [name_of(file) for file in in_order()]
    api = dict(api_pages(twice))
    lessons = [f"notebooks/{name}" for name in notebook_names()]
    return {
        "index": front_page(),
        "reference/index": listing("The reference", files),
        "docs/index": listing("The guides", guides),
        "find_the_bug": zoo_page(),
        "conventions": conventions_page(folder / "conventions.json"),
        "time_machine": time_machine_page(),
        "glossary": glossary_page(),
        "notebooks/index": listing("The notebooks", lessons),
        "viewer": viewer_page(folder / "extra"),
        "in_class": classroom_page(),
        "references": references_page(),
        "api/index": listing("The API", api),
        **api,
        "walk": walk_page(),
        **dict(claim_pages()),
        **dict(reference_pages()),
        **documents,
    }


def listing(title: str, names: Iterable[str]) -> str:
    """A page that leads to others."""
    entries = "\n".join(f"/{name}" for name in names)
    return f"# {title}\n\n```{{toctree}}\n{entries}\n```\n"
