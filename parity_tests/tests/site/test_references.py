"""References: each citation has its entry, each entry its places."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from study.notebooks.references import REFERENCES
from study.site.pages import references
from study.site.pages.references import (
    ISSUE,
    as_it_is,
    citations,
    cites,
    docstrings,
    kind,
    references_page,
    reports,
    sources,
)


def test_every_citation_has_an_entry_and_every_entry_a_citation():
    assert citations().keys() == REFERENCES.keys()


def test_docstrings_of_the_whole_library_are_read_and_none_of_the_tests():
    rooms = {"/".join(path.parts[:2]) for path in sources()}
    assert {"numpy_ref/attention.py", "parity_tests/bug_zoo"} <= rooms
    assert "parity_tests/tests" not in rooms
    assert len([*docstrings()]) > 300


def test_a_file_that_cites_is_read_and_another_is_not(
    tmp_path, monkeypatch
):
    texts = {
        "work.py": '"""Attention (Vaswani\n    et al. 2017)."""',
        "report.py": '"""As in onnx/onnx pull\n    request 7118."""',
        "nothing.py": '"""Plain words of 2017."""',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.setattr(references, "checkout", lambda: tmp_path)
    assert [name for name in texts if cites(Path(name))] == [
        *("work.py", "report.py"),
    ]


@pytest.mark.parametrize(
    ("report", "folder"),
    [("onnx/onnx pull request 7118", "pull"), ("a/b issue 7", "issues")],
)
def test_a_report_is_an_issue_or_a_pull_request(report, folder):
    assert kind(ISSUE.search(report)) == folder


def test_a_place_leads_to_its_page_and_says_what_stands_there():
    places = {
        place.link: place.about for place in citations()["Ba et al. 2016"]
    }
    link = "[`layer_norm`](reference/layers.md#layer-norm)"
    assert places[f"{link}, numpy_ref/layers.py"].startswith("Layer norm")


def test_metrics_and_notebooks_are_among_the_places():
    links = [place.link for place in citations()["Clark et al. 2019"]]
    assert "`previous token`" in links
    assert "[Attention in a real BERT](notebooks/real_bert.md)" in links


def test_plain_text_stays_as_it_is():
    text = "A[i, j] over j = [CLS], a RoBERTa's <s>"
    assert commonmark(as_it_is(text)) == text


def commonmark(markdown):
    """What a reader of a page sees of inline Markdown."""
    (inline,) = MarkdownIt().parseInline(markdown)
    return "".join(each.content for each in inline.children)


def test_a_report_leads_to_its_issue_and_to_its_bug():
    row = next(
        row
        for row in reports().split("\n")
        if row.startswith("- karpathy/minGPT")
    )
    assert re.search(
        r"\[\d+\]\(https://github.com/karpathy/minGPT/(pull|issues)/\d+\) "
        r"\(\[bug \d+\]\(find_the_bug.md#bug-\d+\)\)",
        row,
    )


def test_the_page_links_a_preprint():
    page = references_page()
    assert "[arXiv:1706.03762](https://arxiv.org/abs/1706.03762)" in page
    assert "`parity_tests/oracles/gpt2.py`: Oracle for GPT-2" in page
    assert not re.search("^(WORKS|IMPLEMENTATIONS|REPORTS)$", page, re.M)
