"""The rules that make two sources twins, read from the sources alone.

So a new function is held to them without anyone writing a test for it.
"""

import ast
from collections.abc import Iterator

from .recording import HOLDERS, snake_case

# What has no twin, and why. A name without ":" is a whole file.
WITHOUT_TWIN = {
    "checked.py": "finds wrong shapes; a tool, no step of the data",
    "example.py": "numbers for both sides, no step of the data",
    "parameters.py": "nn.Module brings state_dict of its own",
    "windows.py:WindowDataset": "what DataLoader asks for; NumPy slices",
    "windows.py:window_loader": "makes PyTorch's DataLoader, the witness",
}


def complaints(file: str, reference: str, twin: str) -> list[str]:
    """What keeps two sources from being twins; nothing when they are."""
    sides = {"numpy_ref": steps_of(reference), "torch_impl": steps_of(twin)}
    ours, theirs = (twinned(file, steps) for steps in sides.values())
    found = []
    for name in ours.keys() ^ theirs.keys():
        side = "torch_impl" if name in ours else "numpy_ref"
        found.append(f"{name} has no twin in {side}")
    for name in ours.keys() & theirs.keys():
        found += differences(name, ours[name], theirs[name])
    for name, node in [*ours.items(), *theirs.items()]:
        found += [f"{name}: {bad}" for bad in unruly(node)]
    found += field_differences(fields(reference), fields(twin))
    return [f"{file}: {complaint}" for complaint in sorted(found)]


def twinned(file: str, steps: dict) -> dict:
    """Without the steps that have no twin, for a reason."""
    return {
        name: node for name, node in steps.items() if has_twin(file, name)
    }


def has_twin(file: str, name: str) -> bool:
    return f"{file}:{name}" not in WITHOUT_TWIN


def steps_of(source: str) -> dict[str, ast.FunctionDef]:
    """Functions by name, and each module's `forward` by the module's.

    A class that is neither a module nor a set of fields is one, too.
    """
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name[0] != "_":
            found[node.name] = node
        if isinstance(node, ast.ClassDef):
            parts = {getattr(p, "name", None): p for p in node.body}
            if "forward" in parts:
                found[snake_case(node.name)] = parts["forward"]
            elif not _fields_of(node):
                found[node.name] = parts["__init__"]
    return found


def differences(name: str, ours, theirs) -> Iterator[str]:
    """What two functions must have in common, and have not."""
    for what, view in {
        "signatures": signature,
        "steps": step_names,
    }.items():
        if view(ours) != view(theirs):
            yield (
                f"{name}: the {what} differ: {view(ours)} in numpy_ref, "
                f"{view(theirs)} in torch_impl"
            )


def signature(node: ast.FunctionDef) -> list[str]:
    """`name: annotation = default` of each argument, then the result's."""
    arguments = node.args.args
    missing = len(arguments) - len(node.args.defaults)
    defaults = [""] * missing + [
        f" = {ast.unparse(default)}" for default in node.args.defaults
    ]
    lines = [
        ast.unparse(argument) + default
        for argument, default in zip(arguments, defaults, strict=True)
        if argument.arg not in HOLDERS
    ]
    return [*lines, ast.unparse(node.returns) if node.returns else ""]


def step_names(node: ast.FunctionDef) -> list[str]:
    """The names a function assigns, in the order of its source."""
    return [name for name, _ in assigned(node)]


def assigned(node: ast.AST) -> Iterator[tuple[str, ast.Assign]]:
    """Each name that is assigned, in order, with its assignment."""
    assigns = [p for p in ast.walk(node) if isinstance(p, ast.Assign)]
    found = [
        (name, assign)
        for assign in assigns
        for target in assign.targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    ]
    found.sort(key=lambda pair: (pair[0].lineno, pair[0].col_offset))
    return ((name.id, assign) for name, assign in found)


def unruly(node: ast.FunctionDef) -> Iterator[str]:
    """Ways in which a local could have two meanings, or none."""
    names = step_names(node)
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield f"{name} is assigned more than once"
    for part in ast.walk(node):
        if isinstance(part, ast.AugAssign | ast.NamedExpr | ast.Delete):
            yield f"`{ast.unparse(part)}` hides a step"
        if isinstance(part, ast.Return) and not _only_names(part.value):
            yield f"`{ast.unparse(part)}` returns what has no name"
        if _writes_into(part):
            yield f"`{ast.unparse(part)}` changes a value in place"


def _writes_into(node: ast.AST) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return not all(map(_only_names, targets))


def _only_names(node: ast.expr | None) -> bool:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    parts = [p.value if isinstance(p, ast.Starred) else p for p in parts]
    return all(isinstance(part, ast.Name) for part in parts)


def fields(source: str) -> dict[str, list[str]]:
    """The annotated fields of each class that has any."""
    classes = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    ]
    return {c.name: _fields_of(c) for c in classes if _fields_of(c)}


def _fields_of(node: ast.ClassDef) -> list[str]:
    return [
        ast.unparse(p) for p in node.body if isinstance(p, ast.AnnAssign)
    ]


def field_differences(ours: dict, theirs: dict) -> Iterator[str]:
    """A dataclass of parameters and its module bear the same fields."""
    for name in ours.keys() | theirs.keys():
        if ours.get(name) != theirs.get(name):
            yield (
                f"the fields of {name} differ: {ours.get(name)} in "
                f"numpy_ref, {theirs.get(name)} in torch_impl"
            )
