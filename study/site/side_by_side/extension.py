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
`side_by_side_values` is optional: a function that is called with the file
and the function and returns HTML for each name of a step.

Math is written as MathML (`html_math_renderer = "mathml"`), with the name
of the variable at each symbol that the document's functions have.
"""

import ast
import importlib
import importlib.util
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from jinja2 import Environment, PackageLoader
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from .equations import equation_of
from .functions import Function, functions_of
from .mathml import mathml
from .rows import Row, rows_of
from .tokens import as_html, marked

HUES = 8
VIEWS = ("math", "0", "1", "both")
STATIC = Path(__file__).with_name("static")
TEMPLATES = Environment(
    loader=PackageLoader(__package__),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


class twins(nodes.General, nodes.Element):
    """Two functions side by side, until the pages of all are known."""


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
            package = packages[title]
            path = folder_of(package) / file
            self.env.note_dependency(str(path))
            sources[title] = function_in(path, name)
        pages_of(self.env)[name] = self.env.docname
        node = twins(file=file, function=name, sources=sources)
        return [node]


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


def pages_of(env) -> dict[str, str]:
    """The document of each function that has one."""
    if not hasattr(env, "side_by_side_pages"):
        env.side_by_side_pages = {}
    return env.side_by_side_pages


def forget(app: Sphinx, env, docname: str) -> None:
    """A document that is read again, or gone, has no functions yet."""
    pages = pages_of(env)
    for name in [n for n, page in pages.items() if page == docname]:
        del pages[name]


def resolve(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the HTML of all functions in its place."""
    for node in list(doctree.findall(twins)):
        for math in node.parent.findall(is_math):
            math["function"] = node["function"]
        html = html_of(app, node, docname)
        node.replace_self(nodes.raw("", html, format="html"))


def is_math(node: nodes.Node) -> bool:
    return isinstance(node, nodes.math | nodes.math_block)


def html_of(app: Sphinx, node: twins, docname: str) -> str:
    """The rows of a function, as HTML."""
    config, pages = app.config, pages_of(app.env)
    file, name = node["file"], node["function"]
    functions = list(node["sources"].values())
    left, right = functions[0], functions[-1]
    symbols, hues = symbols_of(config, name), hues_of(config)
    values = values_of(config, file, name)
    names = names_in(left) | names_in(right)
    rows = [
        parts_of(row, symbols, hues, set(pages), names, values)
        for row in rows_of(left, right)
    ]
    links = {
        called: app.builder.get_relative_uri(docname, page)
        + f"#{called.replace('_', '-')}"
        for called, page in sorted(pages.items())
        if called in calls_in(left) | calls_in(right)
    }
    return TEMPLATES.get_template("function.html").render(
        name=name,
        titles=list(node["sources"]),
        views=views_of(list(node["sources"])),
        headers=headers_of(left, right, names, hues),
        rows=rows,
        links=links,
        sources=[whole(function) for function in functions],
    )


def views_of(titles: list[str]) -> dict[str, str]:
    """What can be shown of two sides; of one there is no choice."""
    if len(titles) == 1:
        return {}
    return dict(zip(VIEWS, ["Math", *titles, "Both"], strict=True))


def parts_of(
    row: Row,
    symbols: dict[str, str],
    hues: dict[str, int],
    calls: set[str],
    names: set[str],
    values: dict[str, str],
) -> dict:
    """What a row shows: its name, equation, code or codes, and value."""
    statement = row.left or row.right
    latex = equation_of(statement.node, symbols, calls)
    left, right = (
        "" if side is None else side.code for side in (row.left, row.right)
    )
    marks = marked(left, right)
    codes = [
        as_html(code, marks_of_side, names, hues) if code else ""
        for code, marks_of_side in zip((left, right), marks, strict=True)
    ]
    return {
        "name": row.name,
        "hue": hues.get(row.name),
        "math": "" if latex is None else mathml(latex, symbols, hues),
        "same": row.is_same,
        "codes": codes,
        "value": values.get(row.name, ""),
    }


def headers_of(left: Function, right: Function, names: set[str], hues):
    """The signature of both, marked where they differ; one if equal."""
    marks = marked(left.header, right.header)
    headers = [
        as_html(side.header, marks_of_side, names, hues)
        for side, marks_of_side in zip((left, right), marks, strict=True)
    ]
    return headers[:1] if left.header == right.header else headers


def whole(function: Function) -> str:
    """The source of a function, as a reader would copy it."""
    body = "\n".join(statement.code for statement in function.statements)
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    return f"{function.header}\n{indented}\n"


def names_in(function: Function) -> set[str]:
    """Arguments and locals: what can be lit."""
    tree = ast.parse(f"{function.header}\n    pass")
    arguments = {
        node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)
    }
    steps = {
        name
        for statement in function.statements
        for name in statement.name.split(", ")
        if name.isidentifier() and name != "returns"
    }
    return arguments | steps


def calls_in(function: Function) -> set[str]:
    """The names of what a function calls."""
    return {
        getattr(node.func, "attr", getattr(node.func, "id", ""))
        for statement in function.statements
        for node in ast.walk(statement.node)
        if isinstance(node, ast.Call)
    }


def symbols_of(config, function: str) -> dict[str, str]:
    """The LaTeX of names, those of this function first."""
    symbols = config.side_by_side_symbols
    return {**symbols.get("*", {}), **symbols.get(function, {})}


def hues_of(config) -> dict[str, int]:
    """The number of the colour of each name that has one."""
    names = config.side_by_side_hues
    return {name: index % HUES for index, name in enumerate(names)}


def values_of(config, file: str, function: str) -> dict[str, str]:
    """HTML for each name of a step, from the project's own function."""
    if not config.side_by_side_values:
        return {}
    module, _, attribute = config.side_by_side_values.partition(":")
    return getattr(importlib.import_module(module), attribute)(
        file, function
    )


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
    symbols = symbols_of(config, node.get("function", "*"))
    return mathml(node.astext(), symbols, hues_of(config), block)


def setup(app: Sphinx) -> dict:
    """What Sphinx calls: names, defaults, and the files of the look."""
    app.add_config_value("side_by_side_packages", {}, "env")
    app.add_config_value("side_by_side_symbols", {}, "env")
    app.add_config_value("side_by_side_hues", (), "env")
    app.add_config_value("side_by_side_values", "", "env")
    app.add_html_math_renderer(
        "mathml", (inline_math, None), (block_math, None)
    )
    app.add_node(twins)
    app.add_directive("side-by-side", SideBySide)
    app.connect("env-purge-doc", forget)
    app.connect("doctree-resolved", resolve)
    app.connect(
        "builder-inited",
        lambda app: app.config.html_static_path.append(str(STATIC)),
    )
    app.add_css_file("side_by_side.css")
    app.add_js_file("side_by_side.js", loading_method="defer")
    return {"version": "1", "parallel_read_safe": False}
