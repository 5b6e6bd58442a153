"""The pages' sources: links, bugs without their answers, names."""

import json
import re
from inspect import getmodule, getsource

import pytest

from parity_tests.conventions import table as conventions_table
from parity_tests.twins.finding import find_twins, twin_files
from study.site.build import own_pages
from study.site.pages import conventions, documents
from study.site.pages.conventions import (
    Conventions,
    time_machine_page,
    todays_key,
)
from study.site.pages.documents import (
    document_pages,
    in_order_of_the_map,
)
from study.site.pages.glossary import entries, glossary_page, pages_of_steps
from study.site.pages.reference import (
    front_page,
    how_to_read,
    in_order,
    reference_page,
)
from study.site.pages.zoo import zoo_page
from study.site.side_by_side.mathml import mathml


def test_a_page_has_each_twin_with_its_equation_and_both_codes():
    page = reference_page("attention.py")
    assert "## masked_softmax" in page
    assert "```{side-by-side} attention.py masked_softmax" in page
    assert (
        "`query` query × d_head, `key` key × d_head → query × key" in page
    )
    assert "```pycon\n>>> import numpy as np" in page
    assert "```{inputs} masked_softmax" in page
    assert "## How to read a page" in how_to_read()
    assert "(index.md#how-to-read-a-page)" in page


@pytest.mark.parametrize("file", twin_files())
def test_each_equation_of_a_page_can_be_set(file):
    """Markdown takes a line that begins with + for an item of a list, and
    an unknown command of LaTeX stays as it is."""
    for equation in re.findall(r"\$([^$]+)\$", reference_page(file)):
        lines = equation.splitlines()
        assert not any(line.startswith(("+ ", "- ")) for line in lines)
        assert "\\" not in mathml(equation, {}, {}), equation


def test_the_files_stand_in_the_order_of_the_map():
    assert in_order()[:2] == ["attention.py", "word_tokenizer.py"]
    assert in_order()[-1] == "fast/split_heads_over_ranks.py"


def test_the_front_page_says_what_each_file_is_about():
    assert (
        "3. [byte_pair_encoding.py](reference/byte_pair_encoding.md): "
        "Byte-pair encoding: the pair learned first is merged first."
    ) in front_page()


def test_links_of_the_guides_lead_into_the_site():
    reference = {"numpy_ref/attention.py": "reference/attention"}
    pages = dict(document_pages(reference))
    assert "](../reference/attention.md)" in pages["docs/reading_order"]
    assert "](proofs.md)" in pages["docs/map"]
    assert "](../sources/numpy_ref-checked-py.md)" in "".join(
        pages.values()
    )
    shown = pages["sources/numpy_ref-checked-py"]
    assert "# numpy_ref/checked.py" in shown
    assert "def checked(" in shown


def test_a_link_to_a_notebook_leads_to_its_page_and_there_is_no_other():
    pages = dict(document_pages(own_pages()))
    assert "](../notebooks/from_scratch.md)" in pages["docs/notebooks"]
    assert not [name for name in pages if "from_scratch" in name]


def test_the_guides_stand_in_the_order_of_their_map():
    names = sorted(n for n in dict(document_pages({})) if n[:5] == "docs/")
    ordered = in_order_of_the_map(names)
    assert ordered[:3] == ["docs/map", "docs/install", "docs/reading_order"]
    assert ordered[-1] == "docs/proofs"


def test_an_installed_project_without_documents_is_refused(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(documents.numpy_ref, "__path__", [tmp_path / "a"])
    with pytest.raises(ValueError, match="expected a clone of the project"):
        documents.checkout()


def test_a_bug_is_shown_without_what_gives_it_away():
    page = zoo_page()
    questions = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(questions) > 60
    for question in questions:
        assert "Origin" not in question
        assert "Cause" not in question
    answers = re.findall(r"<details>.*?</details>", page, re.DOTALL)
    assert len(answers) == len(questions)
    assert all("Cause: " in answer for answer in answers)


def test_the_glossary_leads_from_other_names_to_ours():
    page = glossary_page()
    link = "[`params.query`](reference/self_attention.md#self-attention)"
    for name in ("W_query", "attention.self.query", "W^Q", "q_proj"):
        assert f"| `{name}` | {link} |" in page
    assert "| `num_key_value_heads` | [`key_head`](" in page
    assert {entry["step"] for entry in entries()} <= pages_of_steps().keys()


@pytest.mark.parametrize("entry", entries(), ids=lambda e: e["name"])
def test_a_name_of_the_glossary_stands_where_it_leads(entry):
    (twin,) = (t for t in find_twins() if t.name == entry["step"])
    file = getsource(getmodule(twin.reference))
    assert re.search(rf"\b{entry['name'].split('.')[-1]}\b", file)


def test_libraries_are_asked_again_when_something_has_changed(
    tmp_path, monkeypatch
):
    asked = []

    def table():
        asked.append("once more")
        return [{"library": "L", "versions": {}, "conventions": {}}], ["M"]

    monkeypatch.setattr(conventions, "table", table)
    monkeypatch.setattr(
        conventions, "as_markdown", lambda *parts: str(parts)
    )
    cache = tmp_path / "site" / "conventions.json"
    app, page = type("App", (), {"srcdir": tmp_path}), Conventions(cache)

    def read():
        source = [page.source()]
        page.read(app, "conventions", source)
        return source[0]

    first = read()
    assert "[{'library': 'L'" in first
    assert "['M']" in first
    written = tmp_path / "conventions.md"
    assert written.read_text("utf-8") == page.source() == read() == first
    assert len(asked) == 1
    known = json.loads(cache.read_text("utf-8"))
    cache.write_text(json.dumps(known | {"key": "another"}), "utf-8")
    assert read() == first
    assert len(asked) == 2


def test_another_page_has_no_table_of_libraries(tmp_path, monkeypatch):
    monkeypatch.setattr(conventions, "table", None)
    app, source = type("App", (), {"srcdir": tmp_path}), ["a TABLE"]
    Conventions(tmp_path / "cache").read(app, "glossary", source)
    assert source == ["a TABLE"]


def test_the_key_knows_versions_and_probes(tmp_path, monkeypatch):
    before = todays_key()
    assert todays_key() == before
    monkeypatch.setattr(conventions, "versions", lambda names: {"jax": "0"})
    assert todays_key() != before
    monkeypatch.undo()
    monkeypatch.setattr(conventions, "ADAPTERS", tmp_path)
    assert todays_key() != before
    assert conventions_table.LIBRARIES


def test_the_time_machine_has_each_bug_with_its_report():
    page = time_machine_page()
    assert "| onnx==1.18.0 | heads are split without a transpose" in page
    assert "https://github.com/onnx/onnx/pull/7118" in page
    assert page.count("([report](") == 10
    assert "| 2 | <span class='wrong'>1</span> |" in page
