"""`twice study`: what it says when the site cannot be built or opened."""

import webbrowser
from types import SimpleNamespace

import pytest
import torch
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinx.util.parallel import make_chunks

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

    monkeypatch.setattr(building, "write_sources", lambda *_: set())
    monkeypatch.setattr(building, "run_sphinx", refuse)
    with pytest.raises(
        ValueError, match=r"^softmax\[0\]: the steps differ$"
    ):
        building.build(tmp_path, twice=None)


class Rude(SphinxDirective):
    """`rude`: raises the errors that a page can have, by their names."""

    required_arguments = 1

    def run(self):
        kinds = {"extension": ExtensionError, "assertion": AssertionError}
        raise kinds[self.arguments[0]]("softmax[0]: the steps differ\n(2)")


def refuse_to_read(app, docname, source):
    if source[0].startswith("late"):
        raise ValueError("softmax[0]: the steps differ\n(2)")


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["```{rude} extension\n```", "```{rude} assertion\n```", "late"]
)
def test_what_another_process_refuses_is_said_in_its_own_words(
    tmp_path, monkeypatch, page
):
    def write_sources(folder, *_):
        for number in range(8):
            (folder / f"page{number}.md").write_text("---\norphan:\n---\n")
        (folder / "page3.md").write_text(page)
        (folder / "index.md").write_text("# Index")
        return range(9)

    late = (refuse_to_read,)
    run_sphinx = building.run_sphinx
    monkeypatch.setattr(building, "write_sources", write_sources)
    monkeypatch.setattr(
        building, "run_sphinx", lambda f, n, _, a: run_sphinx(f, n, late, a)
    )
    monkeypatch.setattr(building.os, "cpu_count", lambda: 2)
    directives.register_directive("rude", Rude)
    with pytest.raises(
        ValueError, match=r"^softmax\[0\]: the steps differ\n\(2\)$"
    ):
        building.build(tmp_path, twice=None)


def test_slow_pages_are_read_first_and_each_in_another_process():
    slow = building.slow_pages()
    quick = [f"sources/{index}" for index in range(150)]
    names = quick[:100] + slow[::-1] + quick[100:]
    building.slow_first(SimpleNamespace(parallel=2), None, names)
    assert sorted(names) == sorted(quick + slow)
    chunks = make_chunks(names, 2)
    # Sphinx starts with as many as there are cores, then takes the last.
    in_turn = [*chunks[:2], *chunks[:1:-1]]
    assert [chunk[0] for chunk in in_turn] == slow[: len(chunks)]


def test_a_few_pages_are_read_in_any_case():
    for count in range(8):
        names = building.slow_pages()[:count]
        building.slow_first(SimpleNamespace(parallel=2), None, names)
        assert sorted(names) == sorted(building.slow_pages()[:count])


def test_pytorch_has_its_threads_again_after_a_build(tmp_path, monkeypatch):
    threads = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(
        building,
        "write_sources",
        lambda *_: threads.append(torch.get_num_threads()) or set(),
    )
    monkeypatch.setattr(building, "run_sphinx", lambda *_: None)
    building.build(tmp_path, twice=None)
    assert (threads, torch.get_num_threads()) == ([1], 2)
    torch.set_num_threads(before)
