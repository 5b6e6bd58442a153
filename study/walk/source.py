"""Source of a step: the lines that compute it, from both sides."""

import ast
import inspect
import textwrap

from parity_tests.twins.finding import find_twins
from parity_tests.twins.rules import assigned


def code_of(
    path: str, already_shown: tuple[str, ...] = ()
) -> tuple[str, list[str], list[str]]:
    """Where a step is computed, and the lines for it, from both sides."""
    *_, call, step = path.split("/")
    name = call.split("[")[0]
    (twin,) = [twin for twin in find_twins() if twin.name == name]
    _, _, module = twin.reference.__module__.partition(".")
    file = module.replace(".", "/") + ".py"
    theirs = getattr(twin.torch, "forward", twin.torch)
    lines = [
        lines_to(side, step, already_shown)
        for side in (twin.reference, theirs)
    ]
    return f"{file}, {name}", *lines


def lines_to(
    function, step: str, already_shown: tuple[str, ...] = ()
) -> list[str]:
    """The assignments that a local depends on, and its own, in order.

    Those that only locals in `already_shown` need are left out.
    """
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    needed, lines = {step}, []
    for name, assign in reversed([*assigned(ast.parse(source))]):
        if name in needed:
            line = " ".join(ast.get_source_segment(source, assign).split())
            if line not in lines:
                lines.insert(0, line)
            needed |= {
                part.id
                for part in ast.walk(assign.value)
                if isinstance(part, ast.Name)
            } - {*already_shown}
    if not lines:
        raise LookupError(f"expected {function.__name__} to make {step}")
    return lines
