"""`twice study`: the site, equation and both codes side by side."""

import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

# Sphinx would look for some of them itself, and say less.
NEEDED = ("sphinx", "myst_parser", "pydata_sphinx_theme", "latex2mathml")
NEEDED += ("torch", "hypothesis", "mpmath", "ziamath", "fontTools")
NEEDED += ("jupytext", "nbclient", "ipykernel", "matplotlib")
HELP = """
Build the study site and open it.

For each step, the equation, NumPy's code and PyTorch's stand in one row,
with the value of a small example that was computed by both. The pages are
made from the sources of this clone and from runs; they load nothing.
"""


def study(
    context: typer.Context,
    out: Annotated[
        Path,
        typer.Option(help="Folder of the site; what is there is updated."),
    ] = Path("site"),
    open_page: Annotated[
        bool,
        typer.Option("--open/--no-open", help="Open it in a browser."),
    ] = True,
    address: Annotated[
        str,
        typer.Option(
            help="Address at which it will be published, for the links "
            "by which search engines and previews find a page.",
            show_default=False,
        ),
    ] = "",
    run: Annotated[
        bool,
        typer.Option(
            "--run/--no-run",
            help="Run the notebooks again where something they import has "
            "changed, or keep their outputs and say so.",
        ),
    ] = True,
) -> None:
    from .pages.documents import checkout

    checkout()
    for package in NEEDED:
        if find_spec(package) is None:
            raise ModuleNotFoundError(name=package)
    try:
        from .build import build

        twice = context.find_root().command
        page = build(out, twice, address, run).resolve()
    except SyntaxError as error:
        raise ValueError(
            f"expected a source that parses, got {error.msg} in "
            f"{error.filename}, line {error.lineno}"
        ) from error
    print(page)
    if open_page:
        webbrowser.open(page.as_uri())
