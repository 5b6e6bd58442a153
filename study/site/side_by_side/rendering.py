"""HTML of a function: its signature, its rows, what it calls in place."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from jinja2 import Environment, PackageLoader

from .equations import equation_of
from .functions import Function
from .mathml import mathml
from .rows import Row, rows_of
from .tokens import as_html, marked

VIEWS = ("math", "0", "1", "both")
TEMPLATES = Environment(
    loader=PackageLoader(__package__),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Sides:
    """A function on one side or both, by the sides' titles."""

    name: str
    sources: Mapping[str, Function]

    @property
    def pair(self) -> tuple[Function, Function]:
        """Both sides; of one that stands alone, twice the same."""
        functions = list(self.sources.values())
        return functions[0], functions[-1]

    @cached_property
    def names(self) -> set[str]:
        """Arguments and locals: what can be lit."""
        return set().union(*map(names_in, self.pair))


@dataclass(frozen=True)
class Known:
    """What is known besides: symbols, colours, and all other functions.

    `symbols` has the LaTeX of names in a function, `others` each function
    that has a page, `links` the address of its place there; `opened` keeps
    the rows of those that were opened in a row of another.
    """

    symbols: Mapping[str, Mapping[str, str]]
    hues: Mapping[str, int]
    others: Mapping[str, Sides]
    links: Mapping[str, str]
    opened: dict[str, str] = field(default_factory=dict)

    def symbols_in(self, function: str) -> dict[str, str]:
        """The LaTeX of names, those of this function first."""
        return {
            **self.symbols.get("*", {}),
            **self.symbols.get(function, {}),
        }


def html_of(sides: Sides, values: Mapping[str, str], known: Known) -> str:
    """A function: signature, tools, and its rows."""
    titles = list(sides.sources)
    return TEMPLATES.get_template("function.html").render(
        name=sides.name,
        titles=titles,
        views=views_of(titles),
        headers=headers_of(sides, known),
        steps=steps_html(sides, values, known, opens=True),
        sources=[function.source for function in sides.sources.values()],
    )


def steps_html(
    sides: Sides, values: Mapping[str, str], known: Known, opens: bool
) -> str:
    """The rows; where it `opens`, what they call is folded into them."""
    rows = [
        parts_of(row, sides, values, known, opens)
        for row in rows_of(*sides.pair)
    ]
    titles = list(sides.sources)
    return TEMPLATES.get_template("steps.html").render(
        name=sides.name, titles=titles, rows=rows, opens=opens
    )


def parts_of(
    row: Row,
    sides: Sides,
    values: Mapping[str, str],
    known: Known,
    opens: bool,
) -> dict:
    """What a row shows: its name, equation, code or codes, and value."""
    statement, symbols = row.left or row.right, known.symbols_in(sides.name)
    latex = equation_of(statement.node, symbols, set(known.others))
    codes = [side.code if side else "" for side in (row.left, row.right)]
    return {
        "name": row.name,
        "hue": known.hues.get(row.name),
        "math": "" if latex is None else mathml(latex, symbols, known.hues),
        "same": row.is_same,
        "codes": both_html(codes, sides.names, known.hues),
        "value": values.get(row.name, ""),
        "called": [
            called_html(name, known)
            for name in sorted(calls_in(statement) & set(known.others))
            if opens
        ],
    }


def called_html(name: str, known: Known) -> dict[str, str]:
    """A function that a row calls: its rows, and where its page is."""
    if name not in known.opened:
        sides = known.others[name]
        known.opened[name] = steps_html(sides, {}, known, opens=False)
    steps = known.opened[name]
    return {"name": name, "link": known.links[name], "steps": steps}


def both_html(
    codes: list[str], names: set[str], hues: Mapping[str, int]
) -> list[str]:
    """Two codes as HTML, what differs marked in each."""
    return [
        as_html(code, marks, names, hues) if code else ""
        for code, marks in zip(codes, marked(*codes), strict=True)
    ]


def headers_of(sides: Sides, known: Known) -> list[str]:
    """The signature of both, marked where they differ; one if equal."""
    codes = [function.header for function in sides.pair]
    headers = both_html(codes, sides.names, known.hues)
    return headers[: len(dict.fromkeys(codes))]


def views_of(titles: list[str]) -> dict[str, str]:
    """What can be shown of two sides; of one there is no choice."""
    if len(titles) == 1:
        return {}
    return dict(zip(VIEWS, ["Math", *titles, "Both"], strict=True))


def names_in(function: Function) -> set[str]:
    """The arguments and the locals of a function."""
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


def calls_in(statement) -> set[str]:
    """The names of what a statement calls."""
    return {
        getattr(node.func, "attr", getattr(node.func, "id", ""))
        for node in ast.walk(statement.node)
        if isinstance(node, ast.Call)
    }
