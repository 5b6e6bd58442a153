"""Notebooks as pages: what is run again, and how outputs are shown."""

import re
from base64 import b64decode, b64encode
from io import BytesIO

import nbformat
import pytest
from nbformat.v4 import (
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
)
from PIL import Image

from study.notebooks.command import build, hash_of
from study.site.pages import notebooks
from study.site.pages.notebooks import (
    RAN,
    Pages,
    Run,
    alt_of,
    changed_since,
    earlier_run,
    execute,
    kept_run,
    new_run,
    page_of,
    versions,
)
from study.site.revision import meaning_of
from study.site.side_by_side.unchanged import checksums

NAME = "from_scratch"


def ran(name=NAME, path="numpy_ref/masks.py"):
    """A notebook as an earlier build leaves it, without having been run."""
    notebook = build(name)
    known = checksums(notebooks.checkout() / path, meaning_of)
    notebook.metadata[RAN] = {
        "files": {path: known},
        "versions": versions(),
    }
    return notebook


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / f"{NAME}.ipynb"
    nbformat.write(ran(), path)
    return path


# --- when it is run -------------------------------------------------------


@pytest.mark.slow
def test_outputs_are_kept_until_what_they_depend_on_changes(monkeypatch):
    earlier = ran()
    assert changed_since(earlier, build(NAME)) is None
    monkeypatch.setattr(notebooks, "is_unchanged", lambda *_: False)
    assert changed_since(earlier, build(NAME)) == "`numpy_ref/masks.py`"
    monkeypatch.undo()
    now = dict(versions(), numpy="0")
    monkeypatch.setattr(notebooks, "versions", lambda: now)
    assert changed_since(earlier, build(NAME)) == "the version of numpy"
    monkeypatch.undo()
    other = build(NAME)
    other.cells[0].source += "!"
    assert changed_since(earlier, other) == "the notebook"


def test_a_kept_run_is_used_and_another_is_run_again(kept, monkeypatch):
    assert kept_run(NAME, kept, again=True).note == ""
    monkeypatch.setattr(notebooks, "is_unchanged", lambda *_: False)
    assert kept_run(NAME, kept, again=True) is None


def test_what_is_not_run_again_says_what_has_changed(kept, monkeypatch):
    monkeypatch.setattr(notebooks, "is_unchanged", lambda *_: False)
    run = kept_run(NAME, kept, again=False)
    assert "`numpy_ref/masks.py` has changed since" in run.note
    assert hash_of(run.notebook) == hash_of(build(NAME))
    kept.unlink()
    run = kept_run(NAME, kept, again=False)
    assert run.note == "It was not run for this page."


def test_what_is_no_run_of_ours_is_not_taken_for_one(tmp_path):
    path = tmp_path / "a.ipynb"
    assert earlier_run(path) is None
    path.write_text("{", encoding="utf-8")
    assert earlier_run(path) is None
    nbformat.write(build(NAME), path)
    assert earlier_run(path) is None


def cells(*sources):
    return new_notebook(cells=[new_code_cell(source) for source in sources])


@pytest.mark.slow
def test_a_run_knows_the_files_that_were_loaded():
    notebook = cells("from numpy_ref import masks; print(2 + 2)")
    execute(notebook)
    (cell,) = notebook.cells
    assert cell.outputs[0].text == "4\n"
    loaded = notebook.metadata[RAN]["files"]
    assert "numpy_ref/masks.py" in loaded
    assert "numpy_ref/bert.py" not in loaded


@pytest.mark.slow
def test_a_missing_package_is_said_and_any_other_error_stops(
    tmp_path, monkeypatch
):
    def with_cell(source):
        monkeypatch.setattr(notebooks, "build", lambda name: cells(source))

    with_cell("import no_such_model")
    run = new_run(NAME, tmp_path / "a.ipynb")
    assert run.note == (
        "It could not be run here: No module named 'no_such_model'."
    )
    assert not run.notebook.cells[0].outputs
    assert not (tmp_path / "a.ipynb").exists()
    with_cell("1 / 0")
    with pytest.raises(ValueError, match="got ZeroDivisionError: division"):
        new_run(NAME, tmp_path / "a.ipynb")


# --- how it is shown ------------------------------------------------------


@pytest.fixture
def page(tmp_path):
    """The page of one cell with these outputs, below a heading."""

    def make(*outputs, source="x", tags=(), note=""):
        cell = new_code_cell(
            source, outputs=[*outputs], metadata={"tags": [*tags]}
        )
        notebook = new_notebook(cells=[new_markdown_cell("# A"), cell])
        run = Run("lesson", notebook, note)
        return page_of(run, tmp_path / "pages", tmp_path / "extra")

    return make


def shown(**data):
    return new_output("display_data", data=data)


def test_what_is_printed_in_a_row_is_one_block(page):
    lines = [new_output("stream", text=text) for text in ("a\n", "b\n")]
    assert "```{code-block} text\n:class: printed\n\na\nb\n```" in page(
        *lines
    )


def test_text_is_shown_as_text_and_words_as_words(page):
    assert "\n\n**bold** words\n" in page(
        shown(**{"text/markdown": "**bold** words", "text/plain": "no"})
    )
    assert "\n\n41\n```" in page(shown(**{"text/plain": "41"}))


def test_an_answer_is_folded(page):
    text = page(source="mine = 2", tags=["solution"])
    assert "<details><summary>An answer</summary>\n\n```python" in text
    assert "<details>" not in page(source="mine = 2")


def test_a_note_is_a_warning(page):
    assert "```{warning}\nIt was not run." in page(note="It was not run.")
    assert "```{note}\nThe outputs are those of a run" in page()


def png(size=(3, 2)):
    file = BytesIO()
    Image.new("RGB", size, "red").save(file, "PNG")
    return b64encode(file.getvalue()).decode()


def test_a_picture_is_a_file_with_words(page, tmp_path):
    output = shown(**{"image/png": png()})
    output.metadata["image/png"] = {"alt": "a [CLS]\n token"}
    assert r"![a \[CLS\] token](lesson/0-0.png)" in page(output)
    picture = Image.open(tmp_path / "pages" / "lesson" / "0-0.png")
    assert picture.size == (3, 2)
    assert picture.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_a_run_keeps_its_pictures_in_256_colours(tmp_path, monkeypatch):
    drawn = new_notebook(
        cells=[
            new_markdown_cell("# Colours"),
            new_code_cell(outputs=[shown(**{"image/png": png()})]),
        ]
    )
    monkeypatch.setattr(notebooks, "build", lambda name: drawn)
    monkeypatch.setattr(notebooks, "execute", lambda notebook: None)
    path = tmp_path / "a.ipynb"
    new_run(NAME, path)
    kept = nbformat.read(path, as_version=4)
    data = b64decode(kept.cells[1].outputs[0].data["image/png"])
    picture = Image.open(BytesIO(data))
    assert (picture.mode, picture.size) == ("P", (3, 2))
    assert picture.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_a_plot_without_words_is_named_by_its_axes():
    source = 'axes.set(xlabel="stride", ylabel="windows")'
    assert alt_of(new_code_cell(source)) == "Plot: windows, over stride"
    assert alt_of(new_code_cell("x")) == "Plot drawn by the code above"


def test_a_frame_becomes_a_page_of_its_own(page, tmp_path):
    from bert_viz.page.frame import Frame

    html = Frame("<p>&amp; all</p>", b"png", "A & B")._repr_html_()
    text = page(shown(**{"text/html": html, "image/png": png()}))
    assert 'title="A &amp; B" src="lesson/0-0.html" loading="lazy"' in text
    assert "srcdoc" not in text
    frame = tmp_path / "extra" / "lesson" / "0-0.html"
    assert frame.read_text("utf-8") == "<p>&amp; all</p>"


def test_frames_that_only_start_elsewhere_are_one_page(page, tmp_path):
    from bert_viz.page.frame import Frame

    def frame(start, data=""):
        text = f'{{"start":"{start}","data":"{data}"}}'
        html = Frame(text, None, "A")._repr_html_()
        return shown(**{"text/html": html})

    text = page(frame("view=head"), frame("a=b&c=d"), frame("e", "other"))
    assert re.findall('src="([^"]+)"', text) == [
        "lesson/0-0.html",
        "lesson/0-0.html#a=b&amp;c=d",
        "lesson/0-2.html",
    ]
    frames = sorted((tmp_path / "extra" / "lesson").iterdir())
    assert [path.name for path in frames] == ["0-0.html", "0-2.html"]


def test_a_notebook_is_run_when_its_page_is_read(tmp_path, monkeypatch):
    ran = []

    def run(name, path):
        ran.append((name, path))
        return Run(name, cells("2 + 2"))

    monkeypatch.setattr(notebooks, "new_run", run)
    pages = Pages(tmp_path / "kept", tmp_path / "extra", again=True)
    document = f"notebooks/{NAME}"
    text = dict(pages.sources(tmp_path))[document]
    title = "# Multi-head attention from scratch\n"
    assert (text, ran) == (f"{title}\nIt is being run.\n", [])
    app, source = type("App", (), {"srcdir": tmp_path}), [text]
    pages.read(app, document, source)
    assert ran == [(NAME, tmp_path / "kept" / f"{NAME}.ipynb")]
    assert "2 + 2" in source[0]
    written = tmp_path / "notebooks" / f"{NAME}.md"
    assert written.read_text("utf-8") == source[0]
    for other in (document, "notebooks/index", "docs/site"):
        pages.read(app, other, page := ["what is complete"])
        assert page == ["what is complete"]
    assert len(ran) == 1


def test_a_kept_run_is_on_its_page_at_once(tmp_path, kept):
    pages = Pages(kept.parent, tmp_path / "extra", again=True)
    document = f"notebooks/{NAME}"
    text = dict(pages.sources(tmp_path))[document]
    assert "The outputs are those of a run for this page." in text
