"""The zoo's bugs, and their source without what would give them away."""

import ast
import importlib
import inspect
import re
from pathlib import Path

from parity_tests import bug_zoo

ATTENTION = "scaled_dot_product_attention"
BUGS = sorted(
    path.stem for path in Path(bug_zoo.__path__[0]).glob("[!_]*.py")
)


def module_of(bug: str):
    return importlib.import_module(f"{bug_zoo.__name__}.{bug}")


def source_of(bug: str) -> str:
    """The code of a bug, without the docstring that tells what is wrong."""
    source = inspect.getsource(module_of(bug))
    docstring = ast.parse(source).body[0]
    return "\n".join(source.splitlines()[docstring.end_lineno :]).strip()


def cause_of(bug: str) -> str:
    """The cause that the zoo names."""
    return re.search(r"\nCause: (.+)", module_of(bug).__doc__)[1]


def thing_of(bug: str) -> str:
    """The name of what is wrong: a class, or the last function."""
    nodes = ast.parse(source_of(bug)).body
    classes = [n.name for n in nodes if isinstance(n, ast.ClassDef)]
    functions = [n.name for n in nodes if isinstance(n, ast.FunctionDef)]
    return [*functions, *classes][-1]


def kind_of(bug: str) -> str:
    name = thing_of(bug)
    if inspect.isclass(getattr(module_of(bug), name)):
        return "class"
    return "attention" if name == ATTENTION else "step"


def private(bug: str) -> str:
    """The code of a bug, its function renamed: `f` becomes `_f`."""
    name = thing_of(bug)
    return source_of(bug).replace(f"def {name}(", f"def _{name}(")


def joined(imports: str, *parts: str) -> str:
    """One file of imports and parts, no import twice."""
    lines = [
        line
        for part in (imports, *parts)
        for line in part.splitlines()
        if line.startswith(("import ", "from "))
    ]
    bodies = [
        "\n".join(
            line for line in part.splitlines() if line not in lines
        ).strip()
        for part in parts
    ]
    return "\n\n\n".join(["\n".join(dict.fromkeys(lines)), *bodies]) + "\n"
