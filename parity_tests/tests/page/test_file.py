"""The page as a file: what it contains, and what is refused."""

import errno
import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bert_viz import from_arrays
from bert_viz.page import file as page
from bert_viz.page.data import page_data
from bert_viz.page.file import joined_modules, page_of, write_page
from bert_viz.words import joined

from .cases import ATTENTION, D_HEAD, HOSTILE, OTHER, WORDS, attention_of


class Reader(HTMLParser):
    """The elements of a page in order, and the text inside of each."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self.within = [], {}, 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.within = len(self.elements)

    def handle_endtag(self, tag):
        self.within = 0

    def handle_data(self, text):
        self.texts[self.within] = self.texts.get(self.within, "") + text

    def inside(self, tag: str, **attributes) -> list[str]:
        return [
            self.texts.get(index, "")
            for index, (name, own) in enumerate(self.elements, 1)
            if name == tag and attributes.items() <= own.items()
        ]


def read_data(text: str) -> dict:
    (data,) = Reader(text).inside("script", type="application/json")
    return json.loads(data)


def without_data(text: str) -> str:
    (data,) = Reader(text).inside("script", type="application/json")
    return text.replace(data, "")


def test_the_page_has_its_data_style_and_one_script():
    text = page_of(ATTENTION, OTHER, (1,), "view=head")
    data = page_data(ATTENTION, OTHER, (1,)) | {"start": "view=head"}
    assert read_data(text) == json.loads(json.dumps(data))
    page_read = Reader(text)
    assert page_read.inside("script", type="module") == [
        joined_modules(page.MODULES)
    ]
    assert page_read.inside("style") == [page.page_file("style.css")]
    assert "{{" not in without_data(text)


def test_the_page_refers_to_nothing_outside_it():
    text = page_of(ATTENTION)
    rest = without_data(text).replace("http://www.w3.org/2000/svg", "")
    rest = re.sub("'sha256-[^']+'", "", rest)  # base64 may have a //
    assert not re.findall(r"(?i)\bhttps?:.*|//(?=[^\s]).*", rest)
    data = read_data(text)
    (shown,) = data["texts"]
    del shown["weights"], shown["value_norms"], shown["neuron"]
    assert not re.findall(r"(?i)https?:.*|//.*", json.dumps(data))
    addresses = [
        attributes[name]
        for _, attributes in Reader(text).elements
        for name in ("src", "href", "action", "data", "srcset")
        if name in attributes
    ]
    assert addresses == ["#"]
    style = page.page_file("style.css")
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize(
    "way",
    [
        *("innerHTML", "outerHTML =", "insertAdjacentHTML"),
        *("document.write", "setHTMLUnsafe"),
        *("eval(", "new Function", "import(", "fetch(", "XMLHttpRequest"),
        *("WebSocket", "EventSource", "sendBeacon", "DOMParser", "Worker("),
        *("createContextualFragment", "localStorage", "cookie"),
    ],
)
def test_no_script_parses_html_evaluates_text_or_fetches(way):
    assert way not in joined_modules(page.MODULES)


def fingerprint(text: str) -> str:
    digest = b64encode(sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def test_the_policy_fits_what_is_inlined_and_allows_nothing_else():
    reader = Reader(page_of(ATTENTION))
    (policy,) = [
        attributes["content"]
        for tag, attributes in reader.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    allowed = dict(
        directive.split(maxsplit=1) for directive in policy.split("; ")
    )
    (script,) = reader.inside("script", type="module")
    (style,) = reader.inside("style")
    assert allowed["default-src"] == "'none'"
    assert allowed["script-src"] == fingerprint(script)
    assert allowed["style-src"] == fingerprint(style)
    assert allowed["base-uri"] == allowed["form-action"] == "'none'"
    assert "unsafe" not in policy
    assert "connect-src" not in allowed
    inline = {"style", "onclick", "onload", "onerror"}
    assert not any(inline & {*own} for _, own in reader.elements)


def test_the_same_attention_gives_the_same_bytes(tmp_path):
    for name in ("one.html", "again.html"):
        write_page(tmp_path / name, attention_of(), attention_of(seed=2))
    one, again = (path.read_bytes() for path in tmp_path.iterdir())
    assert one == again


def test_hostile_tokens_stay_inside_the_json():
    about = "</title><script>alert(1)</script>"
    hostile = attention_of(HOSTILE, about=about)
    text = page_of(hostile, hostile, start="</script><script>")
    assert Reader(text).elements == Reader(page_of(ATTENTION)).elements
    texts = read_data(text)["texts"]
    assert [held["tokens"] for held in texts] == [[*HOSTILE]] * 2
    assert Reader(text).inside("title") == [f"Attention: {about}"]
    (data,) = Reader(text).inside("script", type="application/json")
    assert "<" not in data
    assert data.isascii()


def test_a_placeholder_in_the_data_is_not_filled_in():
    data = read_data(page_of(attention_of(("{{data}}", "{{script}}"))))
    assert data["texts"][0]["tokens"] == ["{{data}}", "{{script}}"]


def test_a_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    write_page(path, ATTENTION)
    before = path.read_bytes()
    assert before.decode() == page_of(ATTENTION)
    write = Path.write_bytes

    def half(self, data):
        write(self, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(ValueError, match=r"page\.html, got No space left"):
        write_page(path, OTHER)
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["missing/page.html", "."])
def test_a_path_that_cannot_be_written_is_named(tmp_path, name):
    with pytest.raises(ValueError, match="expected to write"):
        write_page(tmp_path / name, ATTENTION)


@pytest.mark.parametrize(
    "other",
    [attention_of(about="another"), attention_of(heads=4)],
    ids=["another name", "another shape"],
)
def test_two_models_do_not_fit_on_one_page(other, tmp_path):
    mine = attention_of(about=from_arrays.__defaults__[0])
    with pytest.raises(ValueError, match="two texts of one model, got"):
        write_page(tmp_path / "page.html", mine, other)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("layer", [-1, 2])
def test_a_layer_out_of_range_is_refused(layer):
    with pytest.raises(ValueError, match="layer from 0 to 1, got"):
        page_of(ATTENTION, neuron_layers=(0, layer))


@pytest.mark.parametrize("missing", ["queries", "keys", "values"])
def test_without_queries_keys_or_values_there_are_no_steps(missing):
    data = read_data(page_of(attention_of(**{missing: None})))
    assert data["texts"][0]["neuron"] is None


def test_values_of_another_width_are_refused():
    values = np.ones((2, 3, len(WORDS), D_HEAD + 1), np.float32)
    with pytest.raises(ValueError, match="of the same width, got 4, 4, 5"):
        page_of(attention_of(values=values, outputs=None))


def test_one_token_words_and_weights_alone_have_a_page():
    alone = from_arrays(["a"], np.ones((1, 2, 1, 1)))
    words = joined(ATTENTION)
    left = ATTENTION.without_special()
    for attention in (alone, words, left):
        text = read_data(page_of(attention))["texts"][0]
        assert text["tokens"] == [*attention.tokens]
        assert text["rows"] == attention.rows
