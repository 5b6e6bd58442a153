"""`twice study`: the site, equation and both codes side by side."""

import importlib
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

# Sphinx would look for some of them itself, and say less.
NEEDED = ("sphinx", "myst_parser", "pydata_sphinx_theme", "latex2mathml")
NEEDED += ("torch", "hypothesis", "mpmath", "ziamath", "fontTools")
HELP = """
Build the study site and open it.

For each step, the equation, NumPy's code and PyTorch's stand in one row,
with the value of a small example that was computed by both. The pages are
made from the sources of this clone and from runs; they load nothing.
"""


def study(
    out: Annotated[
        Path,
        typer.Option(help="Folder of the site; what is there is updated."),
    ] = Path("site"),
    open_page: Annotated[
        bool,
        typer.Option("--open/--no-open", help="Open it in a browser."),
    ] = True,
) -> None:
    from .pages.documents import checkout

    checkout()
    for package in NEEDED:
        importlib.import_module(package)
    from .build import build

    page = build(out).resolve()
    print(page)
    if open_page:
        webbrowser.open(page.as_uri())
