"""Hostile tokens in a browser: text, and nothing else."""

from xml.etree import ElementTree

import pytest

from parity_tests.tests.page.cases import HOSTILE

from .page import VIEWS, eventually, expect_state, rows_of, saved, texts
from .page import browser as browser
from .page import folder as folder
from .page import opened as opened

pytestmark = pytest.mark.browser


def test_hostile_tokens_are_text_and_nothing_else(opened):
    tab = opened("evil", "view=head&query=1")
    tab.click("#table-details > summary")
    tab.wait_for_selector('#tables table[data-table="weights"]')
    for view in VIEWS:
        tab.click(f"#tab-{view}")
        expect_state(tab, view=view)
        tab.wait_for_timeout(30)
        made = "img, iframe, object, embed, svg, b, [onerror]"
        assert tab.locator(made).count() == 0
        assert tab.locator("script").count() == 2
        for save in ("svg", "csv"):
            assert saved(tab, save)
    tab.click("#tab-head")
    shown = '.panel[data-text="0"] .column.key .token'
    eventually(tab, lambda: len(texts(tab, shown)), len(HOSTILE))
    tokens = texts(tab, shown)
    for token in ("</script>", "<!--", "{{style}}", "&lt;b&gt;"):
        assert token in tokens
    assert tokens[10] == "(empty)"
    assert tokens[11] == "a↵b"
    assert tokens[-1] == "x" * 40 + "…"


def test_hostile_tokens_are_saved_as_text(opened):
    tab = opened("evil", "view=head&text=first")
    svg = ElementTree.fromstring(saved(tab, "svg"))
    assert not [part for part in svg.iter() if part.tag.endswith("script")]
    words = "".join(part.text or "" for part in svg.iter())
    assert "<img src=x onerror=ale…" in words  # cut, as long ones are
    assert "</script>" in words
    rows = rows_of(saved(tab, "csv"))
    lone = "\ufffd"  # half of a letter, which no file can hold
    expected = [token.replace("\ud800", lone) for token in HOSTILE]
    assert [row["key"] for row in rows[: len(HOSTILE)]] == expected
