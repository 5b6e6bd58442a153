"""The floors of the house: who may stand on whom, and no circle.

A room stands on those of lower floors, and never on one of its own floor
or a higher one; rooms that are named deeper are rooms of their own. What
is imported inside of a function counts as well.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[3]
FOLDERS = (
    *("numpy_ref", "torch_impl", "parity_tests"),
    *("bert_viz", "study", "benchmarks"),
)

# From the ground up: rooms of one floor do not know each other.
FLOORS = (
    (
        "numpy_ref.checked",
        "numpy_ref.example",
        "numpy_ref.files",
        "numpy_ref.normal_distribution",
        "numpy_ref.parameters",
        "parity_tests.judge.candidate",
        "torch_impl.checked",
    ),
    ("numpy_ref", "torch_impl"),  # the twins
    ("numpy_ref.variants", "torch_impl.variants"),
    ("numpy_ref.fast", "torch_impl.fast"),
    ("numpy_ref.tokenizers",),
    ("numpy_ref.checkpoints",),
    ("numpy_ref.training",),
    ("bert_viz.attention", "bert_viz.checking", "bert_viz.spelling"),
    (
        *("bert_viz.arrays", "bert_viz.attending"),
        *("bert_viz.choosing", "bert_viz.measures", "bert_viz.words"),
    ),
    ("bert_viz.plots",),
    ("bert_viz.page",),
    ("bert_viz",),
    ("parity_tests", "parity_tests.adapters", "parity_tests.bug_zoo"),
    ("parity_tests.bounds",),
    ("parity_tests.exact",),
    ("parity_tests.twins",),
    ("parity_tests.judge.verdict",),
    ("parity_tests.judge.subject", "parity_tests.judge.half"),
    ("parity_tests.judge.mutants",),
    ("parity_tests.judge.attention",),
    ("parity_tests.judge.classes", "parity_tests.judge.steps"),
    ("parity_tests.judge.parts",),
    ("parity_tests.judge.files",),
    (
        *("parity_tests.judge", "parity_tests.claims"),
        *("parity_tests.conventions", "parity_tests.oracles"),
    ),
    ("study.text",),
    (
        *("study.walk", "study.check", "study.view"),
        *("study.variance", "study.figures", "study.toy"),
        "study.ring",
    ),
    ("study.generate",),
    ("study.notebooks", "study.train"),
    ("study.site",),
    ("benchmarks",),
    ("study.bench",),
    ("study",),
    ("parity_tests.tests",),
    ("parity_tests.tests.judge.street",),
)
FLOOR_OF = {room: floor for floor, row in enumerate(FLOORS) for room in row}

Arrows = dict[str, set[str]]


def module_of(path: Path) -> str:
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def sources() -> dict[str, Path]:
    """Every module of the house, with its file."""
    paths = [p for name in FOLDERS for p in (HOUSE / name).rglob("*.py")]
    return {module_of(path): path for path in paths}


def arrows(modules: dict[str, Path]) -> Arrows:
    """For each module the modules of the house that it imports."""
    return {
        module: set(imported(module, path, modules.keys()))
        for module, path in modules.items()
    }


def imported(module: str, path: Path, known) -> Iterator[str]:
    """A name that is a module counts as that, any other as its module."""
    package = module if path.name == "__init__.py" else above(module)
    for node in statements(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name in known)
        if isinstance(node, ast.ImportFrom):
            base = origin(node, package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield from [
                    name for name in (inner, base) if name in known
                ][:1]


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    """All statements within, without their expressions, which are most."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(node, name, ()):
            yield inner
            yield from statements(inner)


def origin(node: ast.ImportFrom, package: str) -> str:
    """The module that a `from` names, its dots resolved."""
    if not node.level:
        return node.module
    for _ in range(node.level - 1):
        package = above(package)
    return f"{package}.{node.module}" if node.module else package


def above(module: str) -> str:
    return module.rpartition(".")[0]


def room_of(module: str) -> str:
    """The deepest room of the table that a module stands in."""
    while module not in FLOOR_OF:
        module = above(module)
        if not module:
            raise ValueError("expected a module of a room in FLOORS")
    return module


def upward(house: Arrows) -> list[str]:
    """The imports that do not lead to a lower floor."""
    return sorted(
        f"{module} ({room_of(module)}) -> {other} ({room_of(other)})"
        for module, others in house.items()
        for other in others
        if room_of(module) != room_of(other)
        and FLOOR_OF[room_of(module)] <= FLOOR_OF[room_of(other)]
    )


def circles(house: Arrows) -> list[str]:
    """What is left when all that stands on nothing is taken away.

    Again and again, first from below and then from above: only circles
    and what leads from one to another cannot be taken.
    """
    left = {module: set(others) for module, others in house.items()}
    for _ in range(2):
        while free := [m for m, others in left.items() if not others]:
            for module in free:
                del left[module]
            for others in left.values():
                others -= set(free)
        left = reversed_arrows(left)
    return sorted(left)


def reversed_arrows(house: Arrows) -> Arrows:
    return {
        module: {m for m, others in house.items() if module in others}
        for module in house
    }


@pytest.fixture(scope="module")
def house() -> Arrows:
    return arrows(sources())


def test_no_import_leads_upward(house):
    assert upward(house) == []


def test_no_circle_is_left(house):
    assert circles(house) == []


def test_every_room_of_the_table_is_there(house):
    for room in FLOOR_OF:
        assert room in house, room


def test_every_package_is_a_room_or_in_one(house):
    for module in house:
        assert room_of(module)


@pytest.mark.parametrize("room", ["adapters", "bug_zoo"])
def test_what_is_judged_imports_nothing_of_the_house(house, room):
    for module, others in house.items():
        if module.startswith(f"parity_tests.{room}"):
            assert not others, module


def test_the_process_of_a_judged_file_knows_nothing_of_the_judge(house):
    room = "parity_tests.judge.candidate"
    own = {module for module in house if module.startswith(room)}
    assert len(own) > 5
    for module in own:
        assert house[module] <= own, module


def test_an_import_that_leads_upward_is_found():
    wrong = {
        "numpy_ref.attention": {"numpy_ref.training.steps"},
        "torch_impl.masks": {"numpy_ref.masks"},
        "numpy_ref.training.steps": {"numpy_ref.attention"},
    }
    assert upward(wrong) == [
        "numpy_ref.attention (numpy_ref) -> numpy_ref.training.steps "
        "(numpy_ref.training)",
        "torch_impl.masks (torch_impl) -> numpy_ref.masks (numpy_ref)",
    ]


def test_a_circle_is_found_without_what_leads_to_it_or_away():
    house = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}
    assert circles(house) == ["b", "c"]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_all_ways_to_import_are_read(tmp_path, monkeypatch):
    path = tmp_path / "study" / "walk" / "new.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import numpy_ref.masks\n"
        "from numpy_ref import layers, masks as m\n"
        "from ..text.corpus import sample\n"
        "def f():\n    from . import run\n    from .run import Walk\n"
    )
    known = {
        *("numpy_ref", "numpy_ref.masks", "numpy_ref.layers"),
        *("study.text.corpus", "study.walk.run"),
    }
    modules = set(imported("study.walk.new", path, known))
    assert modules == known - {"numpy_ref"}
