"""The code line that makes a step, from both sides."""

import ast
import inspect
import textwrap

from parity_tests.rules import assigned
from parity_tests.twins import find_twins


def code_lines(path: str) -> tuple[str, str]:
    """The line that makes a step, from both sides."""
    *_, call, step = path.split("/")
    name = call.split("[")[0]
    (twin,) = [twin for twin in find_twins() if twin.name == name]
    theirs = getattr(twin.torch, "forward", twin.torch)
    return source_line(twin.reference, step), source_line(theirs, step)


def source_line(function, step: str) -> str:
    """The assignment of a local, as it stands, on one line."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    for name, assign in assigned(ast.parse(source)):
        if name == step:
            segment = ast.get_source_segment(source, assign)
            return " ".join(segment.split())
    raise LookupError(f"expected {function.__name__} to assign {step}")
