"""The Sphinx extension: configuration, the directive, and its HTML.

In `conf.py`:

    extensions = ["side_by_side"]
    side_by_side_packages = {"NumPy": "numpy_ref", "PyTorch": "torch_impl"}
    side_by_side_symbols = {"*": {"query": "Q"}, "softmax": {"x": "z"}}
    side_by_side_values = "values:values_of"

and in a page, the file relative to a package and the function in it; one
that only one side has is shown `only` there:

    .. side-by-side:: attention.py softmax

    .. side-by-side:: attention.py softmax_backward
       :only: NumPy

`side_by_side_symbols` has the LaTeX of names, in all functions or in one.
`side_by_side_hues` has the names that have a colour, the same on each page.
`side_by_side_revision` may be any text: when it changes, all is made again.
`side_by_side_values` is optional: a function that is called with Sphinx's
environment, the file and the function, and returns HTML for each name of a
step.

Math is written as MathML (`html_math_renderer = "mathml"`), with the name
of the variable at each symbol that the document's functions have.
"""

import importlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from .functions import Function, functions_of
from .imports import files_behind
from .mathml import mathml
from .rendering import Known, Sides, html_of
from .unchanged import checksums, code_of, is_unchanged

HUES = 8
STATIC = Path(__file__).with_name("static")


class twins(nodes.General, nodes.Element):
    """Two functions side by side, until the pages of all are known."""


@dataclass(frozen=True)
class Page:
    """Where a function has its place, and the function itself."""

    document: str
    sides: Sides


class SideBySide(SphinxDirective):
    """`side-by-side`: one function of both packages, row by row."""

    required_arguments = 2
    option_spec: ClassVar = {"only": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        file, name = self.arguments
        sources = {}
        packages = self.config.side_by_side_packages
        only = self.options.get("only")
        for title in [only] if only else packages:
            folder = folder_of(packages[title])
            path = folder / file
            sources[title] = function_in(path, name)
            self.env.note_dependency(str(path))
            for behind in files_behind(path, folder):
                made_of(self.env, self.env.docname)[str(behind)] = (
                    checksums(behind, code_of)
                )
        sides = Sides(name, sources)
        pages_of(self.env)[name] = Page(self.env.docname, sides)
        values = values_of(self.env, file, name)
        return [twins(sides=sides, values=values)]


def folder_of(package: str) -> Path:
    """The folder of a package, which is not run for it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ExtensionError(
            f"expected a package named {package}, got none"
        )
    return Path(spec.submodule_search_locations[0])


def function_in(path: Path, name: str) -> Function:
    """A function of a file, by name; a class by its name in snake case.

    Raises ExtensionError for a file that is missing or does not parse,
    with its line, and for a function that it does not have.
    """
    try:
        functions = {f.name: f for f in functions_of(path.read_text())}
    except OSError as error:
        raise ExtensionError(
            f"expected a file {path}, got {error.strerror}"
        ) from error
    except SyntaxError as error:
        raise ExtensionError(
            f"expected Python, got {error.msg} in {path}, line "
            f"{error.lineno}"
        ) from error
    if name not in functions:
        raise ExtensionError(
            f"expected {path} to have one of {', '.join(functions)}, "
            f"got {name}"
        )
    return functions[name]


def pages_of(env) -> dict[str, Page]:
    """The page of each function that has one."""
    if not hasattr(env, "side_by_side_pages"):
        env.side_by_side_pages = {}
    return env.side_by_side_pages


def made_of(env, docname: str) -> dict[str, list[str]]:
    """The files that a document is made of, with what they were; of other
    files than its own it is their code that counts."""
    if not hasattr(env, "side_by_side_files"):
        env.side_by_side_files = {}
    return env.side_by_side_files.setdefault(docname, {})


def outdated(app: Sphinx, env, *_) -> list[str]:
    """The documents of which the code of a file has changed."""
    same = cache(is_unchanged_code)
    return [
        docname
        for docname in env.found_docs
        if not all(
            same(path, *before)
            for path, before in made_of(env, docname).items()
        )
    ]


def is_unchanged_code(path: str, *before: str) -> bool:
    return is_unchanged(Path(path), before, code_of)


def forget(app: Sphinx, env, docname: str) -> None:
    """A document that is read again, or gone, has no functions yet."""
    made_of(env, docname).clear()
    pages = pages_of(env)
    gone = [n for n, page in pages.items() if page.document == docname]
    for name in gone:
        del pages[name]


def merge(app: Sphinx, env, docnames: list[str], other) -> None:
    """Take over what another process has read."""
    for docname in docnames:
        made_of(env, docname).update(made_of(other, docname))
    for name, page in pages_of(other).items():
        if page.document in docnames:
            pages_of(env)[name] = page


def resolve(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the HTML of all functions in its place."""
    known = known_by(app, docname)
    for node in list(doctree.findall(twins)):
        sides = node["sides"]
        for math in node.parent.findall(is_math):
            math["function"] = sides.name
        html = html_of(sides, node["values"], known)
        node.replace_self(nodes.raw("", html, format="html"))


def is_math(node: nodes.Node) -> bool:
    return isinstance(node, nodes.math | nodes.math_block)


def known_by(app: Sphinx, docname: str) -> Known:
    """What all rows need to know, as seen from a document."""
    pages = pages_of(app.env)
    return Known(
        symbols=app.config.side_by_side_symbols,
        hues=hues_of(app.config),
        others={name: page.sides for name, page in pages.items()},
        links={
            name: app.builder.get_relative_uri(docname, page.document)
            + f"#{name.replace('_', '-')}"
            for name, page in pages.items()
        },
        opened=vars(app).setdefault("side_by_side_opened", {}),
    )


def hues_of(config) -> dict[str, int]:
    """The number of the colour of each name that has one."""
    names = config.side_by_side_hues
    return {name: index % HUES for index, name in enumerate(names)}


def values_of(env, file: str, function: str) -> dict[str, str]:
    """HTML for each name of a step, from the project's own function."""
    if not env.config.side_by_side_values:
        return {}
    module, _, attribute = env.config.side_by_side_values.partition(":")
    project = importlib.import_module(module)
    return getattr(project, attribute)(env, file, function)


def inline_math(translator, node: nodes.math) -> None:
    """Math in a line, as MathML."""
    translator.body.append(math_of(translator.config, node))
    raise nodes.SkipNode


def block_math(translator, node: nodes.math_block) -> None:
    """Math on lines of its own, as MathML."""
    html = math_of(translator.config, node, block=True)
    translator.body.append(f'<div class="math">{html}</div>')
    raise nodes.SkipNode


def math_of(config, node: nodes.Element, block: bool = False) -> str:
    """An equation, with the symbols of the function that it stands by."""
    known = Known(config.side_by_side_symbols, hues_of(config), {}, {})
    symbols = known.symbols_in(node.get("function", "*"))
    return mathml(node.astext(), symbols, known.hues, block)


def setup(app: Sphinx) -> dict:
    """What Sphinx calls: names, defaults, and the files of the look."""
    app.add_config_value("side_by_side_packages", {}, "env")
    app.add_config_value("side_by_side_symbols", {}, "env")
    app.add_config_value("side_by_side_revision", "", "env")
    app.add_config_value("side_by_side_hues", (), "env")
    app.add_config_value("side_by_side_values", "", "env")
    app.add_html_math_renderer(
        "mathml", (inline_math, None), (block_math, None)
    )
    app.add_node(twins)
    app.add_directive("side-by-side", SideBySide)
    app.connect("env-get-outdated", outdated)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("doctree-resolved", resolve)
    app.connect(
        "builder-inited",
        lambda app: app.config.html_static_path.append(str(STATIC)),
    )
    app.add_css_file("side_by_side.css")
    app.add_js_file("side_by_side.js", loading_method="defer")
    return {"version": "1", "parallel_read_safe": True}
