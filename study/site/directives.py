"""Directives of the site: what stands around the steps of a function.

{inputs} softmax
{built-in} softmax
{properties} softmax
{break-it} softmax

The rows above them (`side-by-side`) note the files that a page depends on.
"""

import ast
import inspect
import re
from collections.abc import Callable
from html import escape, unescape

from docutils import nodes
from jinja2 import Environment, PackageLoader
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from parity_tests.judge.steps.all_properties import properties_of
from parity_tests.judge.steps.property import twin_of
from parity_tests.judge.verdict.property import Property

from .breaking import mutants_of, value_of
from .builtins import builtin_of
from .kept import Kept, kept_of
from .pages.documents import source_document
from .proof import file_of, lights_of
from .shipped import shipped_against
from .side_by_side.mathml import mathml
from .side_by_side.tokens import as_html
from .symbols import HUES
from .values import inputs_of, values_of

TEMPLATES = Environment(
    loader=PackageLoader(__package__),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
CODE, MATH = re.compile(r"`([^`]+)`"), re.compile(r"\$([^$]+)\$")
COLOURS = {name: index for index, name in enumerate(HUES)}


def as_inline_html(text: str) -> str:
    """A text as HTML; what stands in backquotes is code, in dollars math.

    >>> as_inline_html("`a` < 2")
    '<code>a</code> &lt; 2'
    """
    html = CODE.sub(r"<code>\1</code>", escape(text))
    return MATH.sub(lambda latex: mathml(unescape(latex[1]), {}, {}), html)


TEMPLATES.filters.update(as_inline_html=as_inline_html)


class Rendered(SphinxDirective):
    """A directive that shows a template with what it computes."""

    required_arguments = 1
    template = ""

    @property
    def kept(self) -> Kept:
        """Results of an earlier build, where they are of now."""
        return kept_of(self.env)

    def shown(self, **values) -> list[nodes.Node]:
        html = TEMPLATES.get_template(self.template).render(**values)
        return [nodes.raw("", html, format="html")]


class Inputs(Rendered):
    """`inputs`: with what the steps of an example begin, folded."""

    template = "inputs.html"

    def run(self) -> list[nodes.Node]:
        (name,) = self.arguments
        of = f"inputs: {name}"
        inputs = self.kept.result(of, lambda: inputs_of(name))
        return self.shown(inputs=inputs)


class BuiltIn(Rendered):
    """`built-in`: what PyTorch has for a step, once it gave the same."""

    template = "built_in.html"

    def run(self) -> list[nodes.Node]:
        (name,) = self.arguments
        entry = self.kept.result(
            f"built-in: {name}", lambda: builtin_of(name)
        )
        return self.shown(**entry)


class Properties(Rendered):
    """`properties`: what holds of a step, and on how many inputs."""

    template = "properties.html"

    def run(self) -> list[nodes.Node]:
        (name,) = self.arguments
        asked = lights_of(name, self.kept.lights)
        tests = {each.name: test_of(each) for each in properties_of(name)}
        return self.shown(
            name=name,
            lights=[light for light in asked if light.asked],
            tests=tests,
            shipped=shipped_against(name, self.kept.lights),
        )


class BreakIt(Rendered):
    """`break-it`: a switch for each known mutant of a step."""

    template = "break_it.html"

    def run(self) -> list[nodes.Node]:
        (name,) = self.arguments
        twin = twin_of(name)
        right = {
            "cause": "as it should be",
            "code": code_of(inspect.getsource(twin.reference)),
            "value": self.value_of(twin.reference, name, "as it is"),
            "lights": lights_of(name, self.kept.lights),
        }
        mutants = [
            {
                "cause": mutant.cause,
                "code": code_of(mutant.code),
                "value": self.value_of(mutant.step, name, mutant.cause),
                "lights": mutant.lights,
            }
            for mutant in mutants_of(name, self.kept.lights)
        ]
        return self.shown(name=name, versions=[right, *mutants])

    def value_of(self, step: Callable, name: str, of: str) -> str:
        return self.kept.result(
            f"value of {name}: {of}", lambda: value_of(step, name)
        )


def kept_values_of(env, file: str, name: str) -> dict[str, str]:
    """HTML for each named step of a function, kept where it is of now."""
    return kept_of(env).result(
        f"values: {file} {name}", lambda: values_of(file, name)
    )


def test_of(each: Property) -> dict[str, str]:
    """The code that checks a property, its file, and the file's page."""
    file = file_of(each)
    return {
        "code": code_of(inspect.getsource(each.check)),
        "file": file,
        "page": f"../{source_document(file)}.html",
    }


def code_of(source: str) -> str:
    """Code as HTML, its docstring left out."""
    return as_html(without_docstring(source), set(), set(COLOURS), COLOURS)


def without_docstring(source: str) -> str:
    """A function's source without its docstring; anything else as it is."""
    try:
        (node,) = ast.parse(source).body
    except (SyntaxError, ValueError):
        return source
    if not isinstance(node, ast.FunctionDef) or not ast.get_docstring(node):
        return source
    lines, first = source.splitlines(), node.body[0]
    return "\n".join(lines[: first.lineno - 1] + lines[first.end_lineno :])


def setup(app: Sphinx) -> dict:
    """What Sphinx calls."""
    app.add_config_value("results_revision", "", "")
    app.add_directive("inputs", Inputs)
    app.add_directive("built-in", BuiltIn)
    app.add_directive("properties", Properties)
    app.add_directive("break-it", BreakIt)
    return {"version": "1", "parallel_read_safe": True}
