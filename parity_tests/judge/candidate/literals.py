"""Literals: the numbers, texts and switches that a file gives by name.

A configuration may be asked for what no size is, as the base of a rotary
table. The file itself tells that, also under its main guard, which is not
run.
"""

import ast
from collections.abc import Iterable, Iterator

LONGEST = 200  # characters of a text
NO_LITERAL = object()


def literals_of(trees: Iterable[ast.Module]) -> dict[str, object]:
    """What a file gives by name, each as it is given first."""
    pairs = [
        (node.lineno, node.col_offset, name, literal_of(node))
        for tree in trees
        for name, node in named_values(tree)
    ]
    pairs.sort(key=lambda pair: pair[:2])
    given: dict[str, object] = {}
    for *_, name, value in pairs:
        if value is not NO_LITERAL:
            given.setdefault(name, value)
    return given


def named_values(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Arguments that are passed by name, entries of dicts, what is
    assigned, and the defaults of a command's options."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=[ast.Constant(str(option)), *_]) if (
                option.startswith("--")
            ):
                name = option.lstrip("-").replace("-", "_")
                yield from (
                    (name, each.value)
                    for each in node.keywords
                    if each.arg == "default"
                )
            case ast.Call():
                yield from (
                    (each.arg, each.value)
                    for each in node.keywords
                    if each.arg
                )
            case ast.Dict():
                yield from (
                    (key.value, value)
                    for key, value in zip(
                        node.keys, node.values, strict=True
                    )
                    if isinstance(key, ast.Constant)
                    and isinstance(key.value, str)
                )
            case (
                ast.Assign(targets=[target]) | ast.AnnAssign(target=target)
            ) if node.value:
                yield last_name(target), node.value


def last_name(target: ast.expr) -> str:
    """What is assigned: "base" of `base`, `c.base` and `c["base"]`."""
    match target:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(str(name))):
            return name
    return ""


def literal_of(node: ast.expr):
    """A number, a text, a switch or None that stands there as it is, else
    NO_LITERAL."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return NO_LITERAL
    is_plain = value is None or type(value) in (bool, int, float, str)
    is_long = isinstance(value, str) and len(value) > LONGEST
    return value if is_plain and not is_long else NO_LITERAL
