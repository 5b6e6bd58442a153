"""Notebooks as pages: each is run when its page is read.

A run takes a while. Its outputs are kept beside the site until the code of
a file that the notebook has loaded changes, or the notebook, or a
library's version.
"""

import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape, unescape
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from PIL import Image  # Matplotlib brings it

from study import notebooks
from study.notebooks.command import build, hash_of, notebook_names

from ..revision import meaning_of
from ..side_by_side.unchanged import checksums, is_unchanged
from .api import PACKAGES
from .documents import checkout
from .files import write_bytes_if_new, write_if_new

LIBRARIES = ("numpy", "torch", "matplotlib")
RAN = "attention_twice_run"  # the key of what a run depended on
LOADED = f"""
import json, sys
print(json.dumps([
    module.__file__
    for name, module in sys.modules.items()
    if name.partition(".")[0] in {PACKAGES} and module.__file__
]))
"""
QUIET = ["--IPKernelApp.log_level=ERROR", "--HistoryManager.enabled=False"]
MINUTES = 5  # the longest that a cell may take
FOLDER = "notebooks"

FRAME = re.compile(r'<iframe[^>]* title="([^"]*)" srcdoc="([^"]*)"[^>]*>')
START = re.compile(r'"start":"([^"]*)"')  # the viewer's page, there
LABELS = re.compile(r'\b([xy])label="([^"]+)"')


@dataclass(frozen=True)
class Run:
    """A notebook, with a sentence where its outputs are not of now."""

    name: str
    notebook: NotebookNode
    note: str = ""


# --- running --------------------------------------------------------------


def kept_run(name: str, path: Path, again: bool) -> Run | None:
    """A notebook with the outputs that an earlier build has left.

    None where they no longer count and it is to be run again.
    """
    notebook, earlier = build(name), earlier_run(path)
    reason = earlier and changed_since(earlier, notebook)
    if earlier is not None and reason is None:
        return Run(name, earlier)
    if again:
        return None
    if earlier is None or hash_of(earlier) != hash_of(notebook):
        return Run(name, notebook, "It was not run for this page.")
    note = f"The outputs are of an earlier run: {reason} has changed since."
    return Run(name, earlier, note)


def new_run(name: str, path: Path) -> Run:
    """A notebook that is run now; its outputs are kept in a file.

    What a missing package keeps from running is left without outputs.
    Raises ValueError for one that fails.
    """
    notebook = build(name)
    try:
        execute(notebook)
    except CellExecutionError as error:
        if error.ename == "ModuleNotFoundError":
            note = f"It could not be run here: {error.evalue}."
            return Run(name, build(name), note)
        raise ValueError(
            f"expected the notebook {name} to run, got {error.ename}: "
            f"{error.evalue}"
        ) from error
    for picture in pictures_of(notebook):
        png = with_a_palette(b64decode(picture["image/png"]))
        picture["image/png"] = b64encode(png).decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return Run(name, notebook)


def pictures_of(notebook: NotebookNode) -> Iterator[dict]:
    """What each output with a picture holds, by its kinds."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", ()):
                yield output.data


def execute(notebook: NotebookNode) -> None:
    """Run all cells; note what the run depended on.

    In one thread: for arrays as small as these, threads cost more than
    they spare, and another notebook may be running beside this one.
    """
    notebook.cells.append(nbformat.v4.new_code_cell(LOADED))
    client = NotebookClient(
        notebook,
        timeout=60 * MINUTES,
        kernel_name="python3",
        extra_arguments=QUIET,
    )
    client.execute(env=os.environ | {"OMP_NUM_THREADS": "1"})
    loaded = json.loads(notebook.cells.pop().outputs[0].text)
    root = checkout()
    paths = [Path(file).relative_to(root).as_posix() for file in loaded]
    notebook.metadata[RAN] = {
        "files": {
            path: checksums(root / path, meaning_of)
            for path in sorted(paths)
        },
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    return {library: version(library) for library in LIBRARIES}


def earlier_run(kept: Path) -> NotebookNode | None:
    """The notebook that an earlier build has left, if any."""
    try:
        earlier = nbformat.read(kept, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError):
        return None
    return earlier if RAN in earlier.metadata else None


def changed_since(
    earlier: NotebookNode, notebook: NotebookNode
) -> str | None:
    """What has changed since a run, the first of it; None if nothing."""
    if hash_of(earlier) != hash_of(notebook):
        return "the notebook"
    ran, root = earlier.metadata[RAN], checkout()
    for path, was in ran["files"].items():
        if not is_unchanged(root / path, was, meaning_of):
            return f"`{path}`"
    now = versions()
    for library, was in ran["versions"].items():
        if now.get(library) != was:
            return f"the version of {library}"
    return None


# --- as pages -------------------------------------------------------------


def source_of(name: str) -> str:
    """A notebook's Markdown, as it is kept."""
    return files(notebooks).joinpath(f"{name}.md").read_text("utf-8")


def title_of(name: str) -> str:
    """The heading of a notebook."""
    return re.search(r"^# (.+)$", source_of(name), re.MULTILINE)[1]


def placeholder(name: str) -> str:
    """What stands in a page's source as long as the notebook runs."""
    return f"# {title_of(name)}\n\nIt is being run.\n"


@dataclass(frozen=True)
class Pages:
    """The pages of the notebooks.

    What has been run before is taken from the folder `kept`; where it no
    longer counts and is not to be run `again`, its page says so. Frames
    are written into `extra`.
    """

    kept: Path
    extra: Path
    again: bool

    def sources(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Each page, or what stands for it until it is run."""
        for name in notebook_names():
            run = kept_run(name, self.path(name), self.again)
            text = self.page(run, folder) if run else placeholder(name)
            yield f"{FOLDER}/{name}", text

    def path(self, name: str) -> Path:
        return self.kept / f"{name}.ipynb"

    def page(self, run: Run, folder: Path) -> str:
        return page_of(run, folder / FOLDER, self.extra / FOLDER)

    def read(self, app, docname: str, source: list[str]) -> None:
        """Run a notebook, and put its page in place of what stood there."""
        folder, _, name = docname.rpartition("/")
        if folder != FOLDER or name not in notebook_names():
            return
        if source[0] == placeholder(name):
            root = Path(app.srcdir)
            source[0] = self.page(new_run(name, self.path(name)), root)
            write_if_new(root / f"{docname}.md", source[0])


def page_of(run: Run, folder: Path, extra: Path) -> str:
    """The page of a notebook; its pictures are written into `folder`.

    Frames become files of their own in `extra`, which is copied as it is.
    """
    first, *rest = run.notebook.cells
    parts, frames = [first.source, about(run)], {}
    for index, cell in enumerate(rest):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(code_of(cell))
        files_of_cell = Files(run.name, index, folder, extra, frames)
        parts += outputs_of(cell, files_of_cell)
    return "\n\n".join(parts) + "\n"


def about(run: Run) -> str:
    """What the outputs are of, and how to work in the notebook."""
    said = run.note or "The outputs are those of a run for this page."
    kind = "warning" if run.note else "note"
    return (
        f"```{{{kind}}}\n{said} To answer its questions, write it with "
        "`twice notebooks lessons` and open it in Jupyter "
        "([how](../docs/notebooks.md)).\n```"
    )


def code_of(cell: NotebookNode) -> str:
    """The code of a cell; an answer is folded."""
    code = f"```python\n{cell.source}\n```"
    if "solution" not in cell.metadata.get("tags", ()):
        return code
    return folded("An answer", code)


def folded(summary: str, inside: str) -> str:
    return (
        f"<details><summary>{summary}</summary>\n\n{inside}\n\n</details>"
    )


@dataclass(frozen=True)
class Files:
    """Where the files of a cell's outputs are written.

    `frames` has the addresses of the notebook's frames.
    """

    name: str
    cell: int
    folder: Path
    extra: Path
    frames: dict[str, str]

    def write(self, folder: Path, data: bytes, suffix: str, of: int) -> str:
        """Write a file; return its address as seen from the page."""
        path = folder / self.name / f"{self.cell}-{of}{suffix}"
        write_bytes_if_new(path, data)
        return f"{self.name}/{path.name}"


def outputs_of(cell: NotebookNode, files: Files) -> Iterator[str]:
    """The outputs of a cell as Markdown."""
    for index, output in enumerate(joined(cell.outputs)):
        if output.output_type == "stream":
            yield printed(output.text)
        elif "text/markdown" in output.data:
            yield output.data["text/markdown"]
        elif "text/html" in output.data:
            yield html_of(output.data["text/html"], files, index)
        elif "image/png" in output.data:
            png = b64decode(output.data["image/png"])
            address = files.write(files.folder, png, ".png", index)
            alt = output.metadata.get("image/png", {}).get("alt")
            yield f"![{in_brackets(alt or alt_of(cell))}]({address})"
        else:
            yield printed(output.data["text/plain"])


def printed(text: str) -> str:
    """What a cell has printed, which looks unlike its code."""
    return (
        f"```{{code-block}} text\n:class: printed\n\n{text.rstrip()}\n```"
    )


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs to be shown: what was printed in a row is one of them."""
    shown = []
    for output in outputs:
        streams = output.output_type == "stream" and shown
        if streams and shown[-1].output_type == "stream":
            text = shown[-1].text + output.text
            shown[-1] = NotebookNode(output_type="stream", text=text)
        else:
            shown.append(output)
    return shown


def html_of(html: str, files: Files, index: int) -> str:
    """HTML in one block; a frame's page is loaded when it is seen."""
    frame = FRAME.search(html)
    if frame is None:
        return (
            f'``````{{raw}} html\n<div class="output">{html}</div>\n``````'
        )
    return framed(frame[1], address_of(unescape(frame[2]), files, index))


def address_of(page: str, files: Files, index: int) -> str:
    """Where a frame's page is; it is written, unless there is one already
    that only starts elsewhere."""
    start, anywhere = START.search(page), START.sub("", page)
    if start and anywhere in files.frames:
        return f"{files.frames[anywhere]}#{escape(start[1])}"
    address = files.write(files.extra, page.encode(), ".html", index)
    files.frames[anywhere] = address
    return address


def framed(title: str, address: str) -> str:
    """A page within a page, and a link that opens it alone."""
    return (
        "```{raw} html\n"
        f'<iframe class="viewer" title="{title}" src="{address}" '
        'loading="lazy" sandbox="allow-scripts allow-downloads"></iframe>\n'
        f'<p><a href="{address}">Open this view alone</a></p>\n```'
    )


def with_a_palette(png: bytes) -> bytes:
    """A picture in 256 colours, which makes it half as large."""
    picture, file = Image.open(BytesIO(png)), BytesIO()
    picture.convert("RGB").quantize(256).save(file, "PNG", optimize=True)
    return file.getvalue()


def alt_of(cell: NotebookNode) -> str:
    """A plot in words: its axes, as the cell names them."""
    axes = dict(LABELS.findall(cell.source))
    if {"x", "y"} <= axes.keys():
        return f"Plot: {axes['y']}, over {axes['x']}"
    return "Plot drawn by the code above"


def in_brackets(text: str) -> str:
    """A text that may stand in the brackets of a picture."""
    return re.sub(r"([\[\]])", r"\\\1", " ".join(text.split()))
