"""Which function belongs to which, found by name and held to the rules.

A rule is read from the source alone, so a new function is held to it
without anyone writing a test. `complaints` says what is broken.
"""

import ast
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

import numpy_ref
import torch_impl

from .recording import HOLDERS, snake_case

# What has no twin, and why. A name without ":" is a whole file.
WITHOUT_TWIN = {
    "checked.py": "finds wrong shapes; a tool, no step of the data",
    "example.py": "numbers for both sides, no step of the data",
    "parameters.py": "nn.Module brings state_dict of its own",
    "windows.py:WindowDataset": "what DataLoader asks for; NumPy slices",
    "windows.py:window_loader": "makes PyTorch's DataLoader, the witness",
}


@dataclass(frozen=True)
class Twin:
    """A step on both sides: a function, and a function or a module."""

    name: str
    reference: FunctionType
    torch: FunctionType | type

    def __str__(self) -> str:
        return self.name


def twin_files() -> list[str]:
    """The files that both sides must have, by the listing of either."""
    folders = [Path(side.__path__[0]) for side in (numpy_ref, torch_impl)]
    names = {
        path.name for folder in folders for path in folder.glob("*.py")
    }
    return sorted(names - {"__init__.py"} - WITHOUT_TWIN.keys())


def find_twins() -> list[Twin]:
    """Every step that both sides take, in the order of the files."""
    return [twin for file in twin_files() for twin in _twins_of(file)]


def assigned(node: ast.FunctionDef) -> Iterator[tuple[str, ast.Assign]]:
    """The steps a function is made of: each name it assigns, in order."""
    assigns = [part for part in ast.walk(node) if _is_assign(part)]
    for assign in sorted(assigns, key=lambda part: part.lineno):
        for target in assign.targets:
            for name in ast.walk(target):
                if isinstance(name, ast.Name):
                    yield name.id, assign


def complaints(file: str, reference: str, twin: str) -> list[str]:
    """What keeps two sources from being twins; nothing when they are."""
    ours, theirs = _steps(reference), _steps(twin)
    ours = {name: ours[name] for name in ours if _has_twin(file, name)}
    theirs = {
        name: theirs[name] for name in theirs if _has_twin(file, name)
    }
    found = [
        f"{file}: {name} has no twin in {side}"
        for name, side in [
            *((name, "torch_impl") for name in ours if name not in theirs),
            *((name, "numpy_ref") for name in theirs if name not in ours),
        ]
    ]
    for name in ours.keys() & theirs.keys():
        for what, view in RULES.items():
            pair = view(ours[name]), view(theirs[name])
            if pair[0] != pair[1]:
                found.append(
                    f"{file}: {name}: the {what} differ: "
                    f"{pair[0]} in numpy_ref, {pair[1]} in torch_impl"
                )
    for side in (ours, theirs):
        for name, node in side.items():
            found += [f"{file}: {name}: {bad}" for bad in _unruly(node)]
    return found + _field_complaints(file, reference, twin)


def signature(node: ast.FunctionDef) -> list[str]:
    """`name: annotation = default` of each argument, then the result's."""
    defaults = [None] * len(node.args.args) + node.args.defaults
    defaults = defaults[len(node.args.defaults) :]
    lines = []
    for argument, default in zip(node.args.args, defaults, strict=True):
        if argument.arg not in HOLDERS:
            line = ast.unparse(argument)
            lines.append(
                f"{line} = {ast.unparse(default)}" if default else line
            )
    return [
        *lines,
        ast.unparse(node.returns) if node.returns else "no result",
    ]


def step_names(node: ast.FunctionDef) -> list[str]:
    """The names a function assigns, in the order of its source."""
    return [name for name, _ in assigned(node)]


RULES = {"signatures": signature, "steps": step_names}


def _twins_of(file: str) -> Iterator[Twin]:
    module = file.removesuffix(".py")
    ours = importlib.import_module(f"numpy_ref.{module}")
    theirs = importlib.import_module(f"torch_impl.{module}")
    members = {
        snake_case(name): member for name, member in vars(theirs).items()
    }
    for name in _steps(inspect.getsource(ours)):
        if _has_twin(file, name):
            yield Twin(name, getattr(ours, name), members[name])


def _steps(source: str) -> dict[str, ast.FunctionDef]:
    """Functions by name, and each module's `forward` by the module's."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name[0] != "_":
            found[node.name] = node
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if (
                    isinstance(part, ast.FunctionDef)
                    and part.name == "forward"
                ):
                    found[snake_case(node.name)] = part
    return found


def _has_twin(file: str, name: str) -> bool:
    return f"{file}:{name}" not in WITHOUT_TWIN


def _is_assign(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign)


def _unruly(node: ast.FunctionDef) -> Iterator[str]:
    """Ways in which a local could have two meanings, or none."""
    names = step_names(node)
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name} is assigned more than once"
    for part in ast.walk(node):
        if isinstance(part, ast.AugAssign | ast.NamedExpr | ast.Delete):
            yield f"`{ast.unparse(part)}` hides a step"
        if isinstance(part, ast.Return) and not _only_names(part.value):
            yield f"`{ast.unparse(part)}` returns what has no name"
        if isinstance(part, ast.Assign) and not _only_names(
            part.targets[0]
        ):
            yield f"`{ast.unparse(part)}` changes a value in place"


def _only_names(node: ast.expr | None) -> bool:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    parts = [p.value if isinstance(p, ast.Starred) else p for p in parts]
    return all(isinstance(part, ast.Name) for part in parts)


def _field_complaints(file: str, reference: str, twin: str) -> list[str]:
    """A dataclass of parameters and its module bear the same fields."""
    ours, theirs = _fields(reference), _fields(twin)
    return [
        f"{file}: the fields of {name} differ: {fields} in numpy_ref, "
        f"{theirs.get(name)} in torch_impl"
        for name, fields in ours.items()
        if theirs.get(name) != fields
    ]


def _fields(source: str) -> dict[str, list[str]]:
    classes = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    ]
    return {
        node.name: [
            ast.unparse(part)
            for part in node.body
            if isinstance(part, ast.AnnAssign)
        ]
        for node in classes
    }
