"""All pages are made again when what they all depend on has changed."""

from pathlib import Path

import pytest

from study.site import revision as revisions
from study.site.revision import (
    is_part,
    meaning_of,
    results_revision,
    revision,
)

SOURCE = '''"""Of a square."""

def square(x):
    """x x"""
    return x * x
'''


def test_a_revision_stays_until_a_file_or_a_version_changes(monkeypatch):
    before = revision()
    assert revision() == before
    monkeypatch.setattr(revisions, "version", lambda name: "0")
    assert revision() != before
    monkeypatch.undo()
    read = Path.read_bytes
    monkeypatch.setattr(
        Path,
        "read_bytes",
        lambda path: read(path) + b"#" * (path.name == "values.py"),
    )
    assert revision() != before


def test_a_docstring_and_a_comment_change_no_result(monkeypatch):
    said = SOURCE.replace("x x", "Its square.").replace("x:", "x:  # now")
    assert meaning_of(said) == meaning_of(SOURCE)
    assert meaning_of(SOURCE.replace('    """x x"""\n', "")) == meaning_of(
        SOURCE
    )
    for change in (("x * x", "x + x"), ("def square", "def cube")):
        assert meaning_of(SOURCE.replace(*change)) != meaning_of(SOURCE)
    # A text that is used is no docstring.
    assert meaning_of('x = "a"') != meaning_of('x = "b"')


@pytest.mark.slow
def test_results_depend_on_what_either_side_does(monkeypatch):
    before, read = results_revision(), Path.read_text
    for package, more, changes in (
        ("numpy_ref", "# more", False),
        ("numpy_ref", "more = 1", True),
        ("torch_impl", "more = 1", True),
        ("bert_viz", "more = 1", False),
    ):

        def changed(path, encoding=None, package=package, more=more):
            text = read(path, encoding)
            if path.parts[-2:] == (package, "attention.py"):
                return f"{text}\n{more}\n"
            return text

        monkeypatch.setattr(Path, "read_text", changed)
        assert (results_revision() != before) == changes, (package, more)


def test_a_text_changes_no_page_but_its_own():
    assert is_part(Path("claims/scale.py"))
    assert not is_part(Path("claims/scale.md"))


def test_tests_and_what_python_compiles_change_no_page():
    assert is_part(Path("exact/attention.py"))
    assert is_part(Path("side_by_side/templates/steps.html"))
    assert not is_part(Path("tests/conftest.py"))
    assert not is_part(Path("exact/__pycache__/attention.cpython-311.pyc"))
