"""All pages are made again when what they all depend on has changed."""

from pathlib import Path

from study.site import revision as revisions
from study.site.revision import is_part, revision


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


def test_a_text_changes_no_page_but_its_own():
    assert is_part(Path("claims/scale.py"))
    assert not is_part(Path("claims/scale.md"))


def test_tests_and_what_python_compiles_change_no_page():
    assert is_part(Path("exact/attention.py"))
    assert is_part(Path("side_by_side/templates/steps.html"))
    assert not is_part(Path("tests/conftest.py"))
    assert not is_part(Path("exact/__pycache__/attention.cpython-311.pyc"))
