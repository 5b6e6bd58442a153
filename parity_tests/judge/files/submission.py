"""A submission: what a file defines, and what of it can be judged.

Reading a file means running it. A notebook runs cell by cell; an error in
a cell is kept, and the next one runs.
"""

import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from torch import nn

from parity_tests.judge.classes.functions import takes_weights
from parity_tests.judge.classes.verdict import ROLES, role_of
from parity_tests.judge.subject.signature import raised
from parity_tests.twins.finding import find_twins
from parity_tests.twins.gradients import backward, with_gradient

ATTENTION = "scaled_dot_product_attention"
ALIASES = (
    *("attention", "sdpa", "scaled_dot_product", "dot_product_attention"),
    *("scaled_dot_product_attn", "scaled_attention"),
)


ENDS_AS_ATTENTION = r"(attention|attn)(_?v?\d+)?$"  # not its weights


@dataclass(frozen=True, eq=False)
class Candidate:
    """A function or a class to be judged, and the role it is judged in."""

    name: str
    thing: object
    role: str

    @property
    def has_weights(self) -> bool:
        """A class, or a function that takes tokens and weights."""
        return inspect.isclass(self.thing) or takes_weights(self.thing)


def read(path: Path) -> ModuleType:
    """Run the file, and return it as a module.

    Raises ValueError if it cannot be read, or raises itself; a notebook
    only if no cell ran. `troubles` of the module are the errors of cells.
    """
    root, packages = place_of(path.resolve())
    module = ModuleType(".".join([*packages, path.stem.replace("-", "_")]))
    module.__package__ = ".".join(packages)
    module.__file__, module.troubles = str(path), []
    sys.path.insert(0, str(root))
    sys.modules.setdefault(module.__name__, module)
    pieces = list(pieces_of(path))
    for piece in pieces:
        try:
            exec(compile(piece, str(path), "exec"), vars(module))
        except SystemExit as error:
            module.troubles.append(f"called sys.exit({error.code!r})")
        except Exception as error:  # whatever foreign code raises
            module.troubles.append(raised(error, str(path)))
    if len(module.troubles) == len(pieces) > 0:
        raise ValueError(f"{path.name} {module.troubles[-1]}")
    return module


def place_of(path: Path) -> tuple[Path, list[str]]:
    """The folder for imports, and the packages that contain the file."""
    folder, packages = path.parent, []
    while (folder / "__init__.py").is_file():
        packages.insert(0, folder.name)
        folder = folder.parent
    return folder, packages


def pieces_of(path: Path) -> Iterator[str]:
    """A file's source, or that of each cell of a notebook."""
    if path.suffix not in (".py", ".ipynb"):
        raise ValueError(
            f"expected a Python file or a notebook, got {path.name}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"expected a Python file, got {path}: {error}"
        ) from error
    if path.suffix != ".ipynb":
        yield text
        return
    try:
        cells = json.loads(text)["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected a notebook with cells, got {path}"
        ) from error
    for cell in cells:
        if cell.get("cell_type") == "code":
            yield without_magic("".join(cell["source"]))


def without_magic(source: str) -> str:
    """A cell without its magic: lines that only a notebook understands."""
    if source.lstrip().startswith("%%"):
        return ""
    lines = source.split("\n")
    return "\n".join(
        "" if line.lstrip().startswith(("%", "!", "?")) else line
        for line in lines
    )


def candidates(
    module: ModuleType, role: str | None = None
) -> list[Candidate]:
    """What can be judged: functions named like one of the reference's,
    classes of attention, and functions of it that take their weights.

    With `role`, the last one in the file that can have this role. Raises
    ValueError if there is none.
    """
    own = own_things(module)
    if role is not None:
        return [in_role(own, role, module)]
    known = [
        Candidate(name, thing, role)
        for name, thing in own.items()
        if (role := role_by_name(name, thing))
    ]
    if not known:
        defined = ", ".join(own) or "nothing"
        raise ValueError(
            "expected a function named like one of the reference's, or a "
            f"class of attention, in {Path(module.__file__).name}, got "
            f"{defined}; say what it is with --as"
        )
    return known


def own_things(module: ModuleType) -> dict[str, object]:
    """The functions and classes that a file defines."""
    return {
        name: thing
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", None) == module.__name__
        and (inspect.isfunction(thing) or inspect.isclass(thing))
        and name[0] != "_"
    }


def in_role(own: dict, role: str, module: ModuleType) -> Candidate:
    """The last class, for a role of classes; else the last function."""
    role = ATTENTION if role in ALIASES else role
    is_fitting = inspect.isclass if role in ROLES else inspect.isfunction
    fitting = [name for name, thing in own.items() if is_fitting(thing)]
    functions = [n for n, thing in own.items() if inspect.isfunction(thing)]
    if not fitting and role in judged_names():
        fitting = functions
    if not fitting:
        raise ValueError(
            f"expected a function or class for {role} in "
            f"{Path(module.__file__).name}, got "
            f"{', '.join(own) or 'nothing'}"
        )
    return Candidate(fitting[-1], own[fitting[-1]], role)


def role_by_name(name: str, thing) -> str | None:
    """The role of a function or a class by its name; None if unknown."""
    if inspect.isfunction(thing):
        attends = re.search(ENDS_AS_ATTENTION, name, re.IGNORECASE)
        if attends and takes_weights(thing):
            return role_of(thing)
        if name.lower() in ALIASES:
            return ATTENTION
        return name if name in judged_names() else None
    if inspect.isclass(thing) and issubclass(thing, nn.Module):
        return role_of(thing)
    return None


def judged_names() -> set[str]:
    """The names of the reference's functions, and of their gradients."""
    gradients = {backward(twin).__name__ for twin in with_gradient()}
    return {twin.name for twin in find_twins()} | gradients
