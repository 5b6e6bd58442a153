"""Calls: how a file itself calls what it defines.

The arguments that a file passes tell what it means by them: the mask of
`layer(x, tokens != PAD)` is True where there is a token.
"""

import ast
from collections.abc import Iterable

from .things import CALLS

MOST, LONGEST = 8, 500  # calls of one thing, and characters of a call


def calls_of(trees: Iterable[ast.Module]) -> dict[str, tuple[str, ...]]:
    """The calls of each function, and of instances of each class, as
    text; a name that is assigned once stands for what it is assigned."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    values: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                name = ast.unparse(target)
                values.setdefault(name, []).append(node.value)
    once = {
        name: each[0] for name, each in values.items() if len(each) == 1
    }
    calls: dict[str, list[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Call):
            texts = calls.setdefault(called_by(node, once), [])
            texts.append(ast.unparse(resolved(node, once)))
    return {
        name: tuple(t for t in dict.fromkeys(texts) if len(t) < LONGEST)[
            :MOST
        ]
        for name, texts in calls.items()
    }


def last_name(node: ast.AST | None) -> str:
    """The last part of a name with dots; "" for what has none."""
    return getattr(node, "attr", getattr(node, "id", ""))


def called_by(call: ast.Call, once: dict[str, ast.expr]) -> str:
    """What is called: a function, or the class of an instance with ()."""
    function = call.func
    if last_name(function) in CALLS and isinstance(function, ast.Attribute):
        function = function.value
    name, made = last_name(function), once.get(ast.unparse(function))
    return (
        f"{last_name(made.func)}()" if isinstance(made, ast.Call) else name
    )


def resolved(call: ast.Call, once: dict[str, ast.expr]) -> ast.Call:
    """The call, with what its arguments were assigned in place of them."""

    def value(node: ast.expr) -> ast.expr:
        return (
            once.get(node.id, node) if isinstance(node, ast.Name) else node
        )

    named = [
        ast.keyword(each.arg, value(each.value)) for each in call.keywords
    ]
    return ast.Call(call.func, list(map(value, call.args)), named)
