"""Saved tables and pictures are read back unchanged."""

import re

from hypothesis import given
from hypothesis import strategies as st

from .cases import HOSTILE
from .cases import script as script

SIGNS = st.sampled_from(["\n", "\r", '"', ",", "a,b", '"a\nb"', ""])
CELLS = st.text(max_size=8) | SIGNS | st.integers(-9, 9)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=3), max_size=4))
def test_a_saved_table_is_read_back(script, rows):
    import csv
    from io import StringIO

    text = script("csvOf(rows)", rows=rows)
    read = [*csv.reader(StringIO(text, newline=""), strict=True)]
    assert read == [[str(cell) for cell in row] for row in rows]


@given(st.text(max_size=20) | st.sampled_from(HOSTILE))
def test_a_saved_picture_is_xml_with_the_token_as_text(script, token):
    from xml.etree import ElementTree

    svg = script(
        "svgOf(scene(9, 9, '#fff', [{ shape: 'text', x: 1, y: 1, text, "
        "colour: '#000', size: 12, anchor: 'start' }]))",
        text=token,
    )
    root = ElementTree.fromstring(svg.encode("utf-8", "surrogatepass"))
    assert [child.tag.split("}")[1] for child in root] == ["rect", "text"]
    lost = r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
    kept = re.sub(lost, "\ufffd", token)
    read = re.sub(r"\r\n?", "\n", kept)  # as every reader of XML does
    assert root[1].text == f"\u2066{read}\u2069"
