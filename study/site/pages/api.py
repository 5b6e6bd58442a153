"""API reference: every public name with its signature, from the sources.

A step with a page of its own has one line here, and leads there; anything
else has its whole docstring.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import cache

import typer

import bert_viz
from parity_tests.judge.attention.all_properties import PROPERTIES
from parity_tests.judge.steps import all_properties as of_steps
from parity_tests.twins.recording import snake_case

from .documents import checkout
from .glossary import address_of, pages_of_steps
from .reference import first_paragraph, markdown

FENCE = "`" * 6  # a docstring may hold a block of code
PACKAGES = ("numpy_ref", "torch_impl", "bert_viz", "parity_tests", "study")
LISTED = PACKAGES[:3]  # whose names stand in the index
SHAPES = (
    "An annotation has an array's type and its axes: "
    "`Float[Array, '*batch query d_head']` holds floating-point numbers, "
    "with a row for each query and a column for each feature of a head; "
    "`*batch` is any number of axes before them, and `#` allows size 1."
)
TITLES = {
    "numpy_ref": "numpy_ref: the reference, in NumPy",
    "torch_impl": "torch_impl: the same, in PyTorch",
    "bert_viz": "bert_viz: attention of real models",
    "judge": "The judge and its properties",
    "commands": "The commands and their options",
}
DEFAULT = re.compile(r"\s*\[default: (.*)\]$")
OPTION = re.compile(r"`[^`]*`|--[a-z-]+")
LIST = re.compile(r"list\[(\w+)\]")
FILTER = """```{raw} html
<p class="filter" hidden><label>Show names that contain
<input type="search"></label> <span role="status"></span></p>
```"""


@dataclass(frozen=True)
class Entry:
    """A public function or class, as its file has it."""

    module: str
    name: str
    kind: str  # of Sphinx's Python domain
    signature: str
    docstring: str

    @property
    def summary(self) -> str:
        """The docstring's first paragraph, on one line."""
        return first_paragraph(self.docstring)


# --- from the sources -----------------------------------------------------


def modules_of(package: str) -> list[str]:
    """The public modules of a package, those of its rooms after its own."""
    root = checkout()
    paths = [
        path.relative_to(root)
        for path in (root / package).rglob("*.py")
        if not any(part.startswith("_") for part in path.parts)
    ]
    paths.sort(key=lambda path: (len(path.parts), path))
    return [".".join(path.with_suffix("").parts) for path in paths]


@cache
def tree_of(module: str) -> ast.Module:
    path = checkout().joinpath(*module.split(".")).with_suffix(".py")
    return ast.parse(path.read_text("utf-8"))


@cache
def entries_of(module: str) -> list[Entry]:
    """The public functions and classes of a module, in its order."""
    return [
        entry(module, node)
        for node in tree_of(module).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
    ]


def entry(module: str, node: ast.FunctionDef | ast.ClassDef) -> Entry:
    """What a definition says of itself."""
    docstring = ast.get_docstring(node) or ""
    name_in_full(head_of(node), imported_by(module))
    if isinstance(node, ast.FunctionDef):
        signature, kind = signature_of(node), "function"
    else:
        signature, kind = fields_or_init(node), "class"
    return Entry(module, node.name, kind, signature, docstring)


def name_in_full(head: ast.AST, names: dict[str, str]) -> None:
    """Let the annotations of a definition name this project's classes in
    full.

    Both sides have a `LayerNorm`, and each link leads to its own; Sphinx
    shows the names short again.
    """
    places = [*ast.walk(head)]
    annotations = [getattr(each, "annotation", None) for each in places]
    annotations += [getattr(each, "returns", None) for each in places]
    for annotation in filter(None, annotations):
        for part in ast.walk(annotation):
            if isinstance(part, ast.Name):
                part.id = names.get(part.id, part.id)


def head_of(node: ast.AST) -> ast.AST:
    """A definition without what it does; a class keeps its fields, and
    the heads of its methods."""
    head = copy(node)
    head.body = [
        part if isinstance(part, ast.AnnAssign) else head_of(part)
        for part in node.body
        if isinstance(node, ast.ClassDef)
        and isinstance(part, ast.AnnAssign | ast.FunctionDef)
    ]
    return head


@cache
def imported_by(module: str) -> dict[str, str]:
    """The names that a module imports from what is listed, in full."""
    parts, names = module.split("."), {}
    for node in tree_of(module).body:
        if not isinstance(node, ast.ImportFrom):
            continue
        place = [*parts[: -node.level]] if node.level else []
        place += (node.module or "").split(".")
        if place[0] in LISTED:
            for alias in node.names:
                name = ".".join([*filter(None, place), alias.name])
                names[alias.asname or alias.name] = name
    return names


def signature_of(node: ast.FunctionDef) -> str:
    """Arguments and result, with their annotations."""
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(node.args)}){result}"


def fields_or_init(node: ast.ClassDef) -> str:
    """How a class is made: its `__init__`, or a dataclass's fields."""
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            own = copy(inner.args)
            own.args = own.args[1:]  # without self
            return f"({ast.unparse(own)})"
    fields = [
        ast.unparse(inner)
        for inner in node.body
        if isinstance(inner, ast.AnnAssign)
    ]
    return f"({', '.join(fields)})"


# --- as pages -------------------------------------------------------------


def api_pages(twice) -> Iterator[tuple[str, str]]:
    """Each page of the API reference: its document's name, its source."""
    for package in ("numpy_ref", "torch_impl"):
        sections = [
            section(module, entries_of(module))
            for module in modules_of(package)
            if entries_of(module)
        ]
        yield api_page(package, sections)
    yield api_page("bert_viz", [viewer_section()])
    yield api_page("judge", [judge_section(), *property_sections()])
    yield api_page("commands", command_sections(twice))


def api_page(name: str, sections: list[str]) -> tuple[str, str]:
    first = [] if name == "judge" else [FILTER]
    if name in PACKAGES:
        first.append(SHAPES)
    parts = [f"# {TITLES[name]}", *first, *sections]
    return f"api/{name}", "\n\n".join(parts) + "\n"


def section(module: str, entries: list[Entry]) -> str:
    """A module: what it is for, then its entries."""
    about = ast.get_docstring(tree_of(module)) or ""
    title = "/".join(module.split(".")[1:]) + ".py"
    return "\n\n".join(
        [
            f"## {title}",
            f"{FENCE}{{py:module}} {module}\n{FENCE}",
            markdown(about.split("\n\n")[0]),
            *map(described, entries),
        ]
    )


def described(entry: Entry) -> str:
    """An entry of Sphinx's index, with a line or its docstring."""
    page = page_of_step(entry)
    if page is None:
        text = markdown(entry.docstring)
    else:
        text = f"{entry.summary} [Side by side]({page})"
    head = f"{FENCE}{{py:{entry.kind}}} {entry.name}{entry.signature}"
    return f"{head}\n{text}\n{FENCE}"


def page_of_step(entry: Entry, folder: str = "../") -> str | None:
    """Where a step, its gradient or its module is shown side by side."""
    package = entry.module.split(".")[0]
    if package not in ("numpy_ref", "torch_impl"):
        return None
    name = entry.name
    if entry.kind == "class":
        name = snake_case(name)
    step = name.removesuffix("_backward")
    if step not in pages_of_steps():
        return None
    return f"{folder}{address_of(step)}"


def viewer_section() -> str:
    """The names that `bert_viz` offers, each from its own module."""
    places = [module_of(name) for name in bert_viz.__all__]
    parts = []
    for module in dict.fromkeys(places):
        entries = [
            entry
            for entry in entries_of(module)
            if entry.name in bert_viz.__all__
        ]
        parts.append(section(module, entries))
    return "\n\n".join(parts)


def module_of(name: str) -> str:
    """Where a name of `bert_viz` is from; most are imported when used."""
    room = bert_viz.ROOMS.get(name)
    if room is None:
        return getattr(bert_viz, name).__module__
    return f"{bert_viz.__name__}{room}"


def judge_section() -> str:
    """The judge as a function."""
    module = "parity_tests.judge.files.judging"
    entries = [each for each in entries_of(module) if each.name == "judge"]
    return "\n\n".join(
        [
            "## judge",
            "`from parity_tests.judge import judge`. As a command, it is "
            "[`twice check`](../docs/judge.md).",
            f"{FENCE}{{py:module}} parity_tests.judge\n{FENCE}",
            *map(described, entries),
        ]
    )


def property_sections() -> Iterator[str]:
    """Each property by its name and its claim, and the steps it is of."""
    yield (
        "## Properties of attention\n\n"
        "Asked of any function of query, key and value.\n\n"
        + "\n".join(f"- `{each.name}`: {each.claim}" for each in PROPERTIES)
    )
    rows = [
        f"- `{each.name}`: {each.claim} {links(each.of)}"
        for each in of_steps.PROPERTIES
    ]
    yield "## Properties of the steps\n\n" + "\n".join(rows)


def links(names: tuple[str, ...]) -> str:
    """The steps that a property is of, each with its page."""
    return ", ".join(
        f"[{name}](../{address_of(step)})"
        if (step := name.removesuffix("_backward")) in pages_of_steps()
        else f"`{name}`"
        for name in names
    )


# --- the commands ---------------------------------------------------------


def command_sections(twice) -> list[str]:
    """The `twice` command and those below it, with all their options.

    `twice` is the command itself, a group of Typer's.
    """
    below = [
        command_section(f"twice {name}", command)
        for name, command in twice.commands.items()
    ]
    return [command_section("twice", twice), *below]


def command_section(name: str, command) -> str:
    """A command: what it does, and each of its options."""
    about = inspect.cleandoc(command.help or "").split("\n\nExamples")[0]
    context = typer.Context(command, info_name=name)
    records = [
        parameter.get_help_record(context) for parameter in command.params
    ]
    return "\n\n".join(
        [
            f"## {name}",
            f"{FENCE}{{program}} {name}\n{FENCE}",
            with_options_as_code(about),
            *(option(*record) for record in records if record),
        ]
    )


def option(names: str, text: str) -> str:
    """An option or an argument of a command, as its help says it."""
    names = LIST.sub(lambda kind: kind[1].lower(), names)
    names = names.replace(" / ", ", ")
    text = with_options_as_code(DEFAULT.sub(r" Default: `\1`.", text))
    return f"{FENCE}{{option}} {names}\n{text}\n{FENCE}"


def with_options_as_code(text: str) -> str:
    """A text with its options as code, and with the code that it has.

    >>> with_options_as_code("With --file, as in `twice --file a.txt`.")
    'With `--file`, as in `twice --file a.txt`.'
    """
    return OPTION.sub(lambda found: f"`{found[0].strip('`')}`", text)
