"""Places: a file as a module, in its package, beside its neighbours.

Python's own import system does the work; it is only told how the judged
file is run. Nothing that is loaded or installed is shadowed by a file of
the same name: folders go to the end of `sys.path`, and a name that is
taken is not taken again.
"""

import importlib
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import (
    find_spec,
    module_from_spec,
    spec_from_file_location,
)
from itertools import takewhile
from pathlib import Path
from types import ModuleType

from .statements import safely, spelled, time_limit

INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Place:
    """Where a file stands: `folders` are its packages, the outermost first.

    `name` is that of its module, with those of its packages before it.
    """

    path: Path
    folders: tuple[Path, ...]
    name: str

    @property
    def root(self) -> Path:
        """The folder that the imports of its package start from."""
        return (*self.folders, self.path)[0].parent

    @property
    def parents(self) -> dict[str, Path]:
        """The names of its packages, and their folders."""
        parts = self.name.split(".")
        names = [".".join(parts[: n + 1]) for n in range(len(parts))]
        return dict(zip(names, self.folders, strict=False))

    def is_neighbour(self, module_name: str) -> bool:
        """Whether a module is in its package, or stands beside it."""
        top = module_name.partition(".")[0]
        if self.folders and top == self.name.partition(".")[0]:
            return True
        module = sys.modules.get(module_name)
        file = safely(getattr, module, "__file__")
        return isinstance(file, str) and any(
            Path(file) == folder / f"{top}.py"
            or Path(file).is_relative_to(folder / top)
            for folder in {self.root, self.path.parent}
            if folder.name not in INSTALLED
        )


def place_of(path: Path, level: int) -> Place:
    """The packages of a file: folders that have an `__init__.py`.

    One without such, but with relative imports, has so many folders for
    packages as the most dots of its imports go up.
    """
    packages = takewhile(is_package, path.parents)
    folders = list(packages) or list(path.parents[:level])
    folders.reverse()  # the outermost first
    parts = [re.sub(r"\W", "_", f.name) or "_" for f in folders]
    if path.stem != "__init__" or not parts:
        parts.append(re.sub(r"\W", "_", path.stem))
    parts[0] = unused_name(parts[0], (*folders, path)[0])
    return Place(path, tuple(folders), ".".join(parts))


def is_package(folder: Path) -> bool:
    return (folder / "__init__.py").is_file()


def unused_name(name: str, own: Path) -> str:
    """The name, or with a number, if another module has it already."""
    candidate, number = name, 1
    while is_taken(candidate, own):
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def is_taken(name: str, own: Path) -> bool:
    if name in sys.modules:
        return True
    spec = safely(find_spec, name)
    own_files = (None, str(own), str(own / "__init__.py"))
    return spec is not None and spec.origin not in own_files


def extend_path(place: Place) -> None:
    """Let neighbours be imported, after all that is installed."""
    folders = [place.root, place.path.parent]
    with suppress(OSError):  # the working directory may be gone
        folders.append(Path.cwd())
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.append(folder)
    importlib.invalidate_caches()  # files may be new


class Importer(Loader, MetaPathFinder):
    """Finds the judged file and its packages; runs the file its own way.

    So a package that imports the file gets this very module, run once.
    """

    def __init__(self, place: Place, run: Callable[[ModuleType], None]):
        self.place = place
        self.run = run
        self.module: ModuleType | None = None

    def find_spec(self, name, path=None, target=None):
        place = self.place
        folder = place.parents.get(name)
        if name == place.name:
            inner = [str(folder)] if folder else None
            return spec_from_file_location(
                name,
                place.path,
                loader=self,
                submodule_search_locations=inner,
            )
        if folder is None:
            return None
        if not is_package(folder):
            return namespace_of(name, folder)
        init = str(folder / "__init__.py")
        return spec_from_file_location(
            name,
            init,
            loader=SourceFileLoader(name, init),
            submodule_search_locations=[str(folder)],
        )

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        self.module = module
        self.run(module)


def namespace_of(name: str, folder: Path) -> ModuleSpec:
    """A package without an `__init__.py`."""
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return spec


def load(
    place: Place,
    run: Callable[[ModuleType], None],
    seconds: float,
    note: Callable[[str], None],
) -> ModuleType:
    """Import the packages of a file, then the file, which `run` runs.

    A package that fails is replaced by an empty one, so that relative
    imports still work.
    """
    importer = Importer(place, run)
    sys.meta_path.insert(0, importer)
    try:
        for name, folder in place.parents.items():
            if name == place.name:
                continue
            try:
                with time_limit(seconds):
                    importlib.import_module(name)
            except BaseException as error:
                init = f"{folder.name}/__init__.py"
                note(f"{init}: {spelled(error)}")
                spec = namespace_of(name, folder)
                sys.modules[name] = module_from_spec(spec)
        if importer.module is None:
            module = module_from_spec(importer.find_spec(place.name))
            sys.modules[place.name] = module
            importer.exec_module(module)
            package, _, name = place.name.rpartition(".")
            safely(setattr, sys.modules.get(package), name, module)
    finally:
        safely(sys.meta_path.remove, importer)
    return importer.module


def shadowed(place: Place, names: set[str]) -> list[str]:
    """Which neighbours are not what an import of their name gives."""
    notes = []
    for name in sorted(names):
        for neighbour in (
            place.path.parent / f"{name}.py",
            place.path.parent / name / "__init__.py",
        ):
            is_there = neighbour.is_file() and neighbour != place.path
            if is_there and origin_of(name) != neighbour:
                library = name in sys.stdlib_module_names
                owner = "the standard library" if library else "a package"
                shown = neighbour.relative_to(place.path.parent)
                notes.append(
                    f"{shown} beside it is not used: {owner} has a module "
                    "of that name; give it another"
                )
    return notes


def origin_of(name: str) -> Path | None:
    """The file that an import of this name gives."""
    module = sys.modules.get(name)
    if module is not None:
        file = safely(getattr, module, "__file__")
    else:
        file = safely(getattr, safely(find_spec, name), "origin")
    return Path(file).resolve() if isinstance(file, str) else None
