"""The code of a mutant, with the parts that it was put together from.

Many mutants are made: by a lambda in a table, by a function that returns
one, by a loop over factors. What is shown is read off the function itself,
so that it is what runs: what it holds, its own source, and below it the
helpers of the mutants that it calls.
"""

import ast
import dis
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from textwrap import dedent
from types import FunctionType

from parity_tests.judge import mutants

PARTS = (Callable, int, float)


def code_of(mutant: Callable) -> str:
    """The source of a mutant: its parts, itself, its helpers."""
    parts = held_by(mutant)
    own = [
        f"{name} = {part.__name__ if is_helper(part) else source_of(part)}"
        for name, part in parts.items()
    ]
    below = dict.fromkeys(
        helper
        for function in (*parts.values(), mutant)
        for helper in helpers_of(function)
    )
    below.pop(mutant, None)
    whole = "\n".join([*own, source_of(mutant)])
    return "\n\n".join([whole, *map(definition, below)])


def held_by(function) -> dict[str, object]:
    """The functions and numbers that a function was made with, by name."""
    if not is_made(function):
        return {}
    outer = inspect.getclosurevars(function).nonlocals
    parameters = inspect.signature(function).parameters
    held = dict(outer) | {n: p.default for n, p in parameters.items()}
    held = {
        name: part
        for name, part in held.items()
        if isinstance(part, PARTS) and part is not inspect.Parameter.empty
    }
    inner = [held_by(part) for part in held.values()]
    return {n: p for parts in (*inner, held) for n, p in parts.items()}


def is_made(function) -> bool:
    """Whether it is a lambda, or a function within a function."""
    return isinstance(function, FunctionType) and (
        is_lambda(function) or "<locals>" in function.__qualname__
    )


def is_lambda(function: FunctionType) -> bool:
    return function.__name__ == "<lambda>"


def is_helper(value) -> bool:
    """Whether it is a function of the mutants' files, with a name."""
    return (
        isinstance(value, FunctionType)
        and value.__module__.startswith(mutants.__name__)
        and not is_made(value)
    )


def helpers_of(function) -> Iterator[FunctionType]:
    """The helper that a function is, and those that are called, or that a
    part was made with."""
    if isinstance(function, partial):
        held = (*function.args, *function.keywords.values())
        for part in (function.func, *held):
            yield from helpers_of(part)
    if is_helper(function):
        yield function
    if not isinstance(function, FunctionType):
        return
    for instruction in dis.get_instructions(function):
        if instruction.opname == "LOAD_GLOBAL":
            called = function.__globals__.get(instruction.argval)
            if is_helper(called) and called is not function:
                yield from helpers_of(called)


def source_of(value) -> str:
    """A function as it is written, or its name; a number's `repr`."""
    if isinstance(value, partial):
        parts = map(named_as, (value.func, *value.args))
        named = [f"{n}={named_as(v)}" for n, v in value.keywords.items()]
        return f"partial({', '.join([*parts, *named])})"
    if is_made(value) and is_lambda(value):
        return lambda_source(value)
    if is_made(value) or is_helper(value):
        return definition(value)
    if isinstance(value, Callable):
        return value.__name__
    return repr(value)


def named_as(value) -> str:
    """A function by its name, or as it was made; anything else by its
    `repr`."""
    if isinstance(value, partial) or (is_made(value) and is_lambda(value)):
        return source_of(value)
    return getattr(value, "__name__", None) or repr(value)


def definition(function: FunctionType) -> str:
    return dedent(inspect.getsource(function)).rstrip()


def lambda_source(function: FunctionType) -> str:
    """The source of a lambda, found by where its body's code came from."""
    source, lambdas = lambdas_of(function.__module__)
    places = {*function.__code__.co_positions()}
    (node,) = (
        node
        for node in lambdas
        if node.lineno == function.__code__.co_firstlineno
        and place_of(node.body) in places
    )
    first, *rest = ast.get_source_segment(source, node).splitlines()
    return "\n".join([first, *dedent("\n".join(rest)).splitlines()])


def place_of(node: ast.expr) -> tuple[int, int | None, int, int | None]:
    """Where a node stands, as `co_positions` has it."""
    lines = node.lineno, node.end_lineno
    return *lines, node.col_offset, node.end_col_offset


@cache
def lambdas_of(module: str) -> tuple[str, list[ast.Lambda]]:
    """The source of a module, and every lambda in it."""
    source = inspect.getsource(sys.modules[module])
    nodes = ast.walk(ast.parse(source))
    return source, [node for node in nodes if isinstance(node, ast.Lambda)]
