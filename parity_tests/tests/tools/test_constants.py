"""A constant of a module has one value: the last would hold for all."""

import ast
from collections import Counter
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[3]
ROOMS = ("numpy_ref", "torch_impl", "parity_tests", "bert_viz", "study")
FILES = [
    path.relative_to(HOUSE).as_posix()
    for room in ROOMS
    for path in sorted((HOUSE / room).rglob("*.py"))
    if not path.is_relative_to(HOUSE / "parity_tests/tests")
]


def constants(source: str) -> Counter[str]:
    """How often each constant at the top of a module is assigned."""
    names: Counter[str] = Counter()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign):
            for node in map(ast.walk, statement.targets):
                names.update(n.id for n in node if isinstance(n, ast.Name))
    return Counter({n: count for n, count in names.items() if n.isupper()})


def test_two_values_of_a_constant_are_seen():
    source = "CALLS = 12\n\nCALLS, TEXTS = 16, 250\n"
    assert constants(source) == {"CALLS": 2, "TEXTS": 1}


@pytest.mark.parametrize("file", FILES)
def test_a_constant_has_one_value(file):
    source = (HOUSE / file).read_text(encoding="utf-8")
    twice = [n for n, count in constants(source).items() if count > 1]
    assert not twice
