"""`twice study`: what it says when the site cannot be built or opened."""

import webbrowser

import pytest
from sphinx.errors import ExtensionError

from study.site import build as building


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A site that is there at once."""
    monkeypatch.setattr(
        building, "build", lambda out, *_: out / "index.html"
    )
    return tmp_path


def test_its_page_is_opened_and_its_path_printed(twice, built, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    code, out, err = twice("study", "--out", built)
    assert (code, out, err) == (0, f"{built}/index.html\n", "")
    assert opened == [f"file://{built}/index.html"]
    assert twice("study", "--out", built, "--no-open")[:2] == (code, out)
    assert len(opened) == 1


def test_without_a_browser_the_path_is_there(twice, built, monkeypatch):
    monkeypatch.setattr(webbrowser, "_tryorder", [])
    code, out, err = twice("study", "--out", built)
    assert (code, out, err) == (0, f"{built}/index.html\n", "")


def test_a_folder_that_cannot_be_written_is_named(twice, tmp_path):
    file = tmp_path / "file"
    file.touch()
    code, out, err = twice("study", "--out", file / "site")
    assert (code, out) == (2, "")
    assert err == (
        "twice: expected a folder to write the site into, got "
        f"{file}/site: Not a directory\n"
    )


def test_a_source_that_does_not_parse_is_named_with_its_line(
    twice, tmp_path, monkeypatch
):
    source = tmp_path / "masks.py"
    source.write_text("x = 1\ndef broken(:\n")

    def parse(*_):
        compile(source.read_text(), source, "exec")

    monkeypatch.setattr(building, "build", parse)
    code, out, err = twice("study", "--out", tmp_path)
    assert (code, out) == (2, "")
    assert err == (
        "twice: expected a source that parses, got invalid syntax in "
        f"{source}, line 2\n"
    )


def test_what_an_extension_refuses_is_said_in_its_own_words(
    tmp_path, monkeypatch
):
    def refuse(*_):
        cause = ValueError("softmax[0]: the steps differ")
        raise ExtensionError("Handler <…> threw an exception", cause)

    monkeypatch.setattr(building, "runs", lambda *_: {})
    monkeypatch.setattr(building, "write_sources", lambda *_: set())
    monkeypatch.setattr(building, "run_sphinx", refuse)
    with pytest.raises(
        ValueError, match=r"^softmax\[0\]: the steps differ$"
    ):
        building.build(tmp_path, twice=None)
