"""What the docs of a mask's maker say of the mask."""

import pytest

from parity_tests.judge.candidate.host import Host
from parity_tests.judge.candidate.things import Parameter, Thing
from parity_tests.judge.subject.makers import (
    meaning_by_its_maker,
    meaning_made,
)

AT_PADDING = "pad_mask", "True at the <pad> tokens.", ""


def layer(docs: str, *makers, source: str = "", calls=()) -> Thing:
    makers = makers or (AT_PADDING,)
    return Thing(
        "Layer",
        "function",
        doc=docs,
        source=source,
        calls=calls,
        makers=makers,
    )


@pytest.mark.parametrize(
    ("docs", "meaning"),
    [
        ("mask comes from pad_mask, and padding gets no weight.", "hidden"),
        (
            "mask: (batch, 1, 1, tokens), as returned by `pad_mask`",
            "hidden",
        ),
        ("mask = pad_mask(tokens)", "hidden"),
        ("mask: see pad_mask", "hidden"),
        ("mask: the inverse of pad_mask", None),
        ("mask: ~pad_mask(tokens)", None),
        ("mask: not pad_mask", None),
        ("mask: pad_mask(tokens), inverted", None),
        ("mask: causal. Elsewhere, pad_mask is used.", None),
        ("mask: like other_pad_mask", None),
        ("memory_mask: see pad_mask", None),
        ("mask: a tensor", None),
    ],
)
def test_docs_name_the_maker_of_a_mask(docs, meaning):
    assert meaning_by_its_maker(layer(docs), "mask") == meaning


def test_a_comment_names_the_maker_of_a_mask():
    source = "def attend(\n    x,\n    mask,  # from pad_mask\n): ..."
    assert (
        meaning_by_its_maker(layer("", source=source), "mask") == "hidden"
    )


def test_two_makers_that_differ_tell_nothing():
    other = "word_mask", "False at padding.", ""
    docs = "mask: from pad_mask. In the decoder, mask is from word_mask."
    assert meaning_by_its_maker(layer(docs, AT_PADDING), "mask") == "hidden"
    both = layer(docs, AT_PADDING, other)
    assert meaning_by_its_maker(both, "mask") is None


def test_where_the_file_inverts_what_it_passes_the_maker_tells_nothing():
    parameters = Parameter("x"), Parameter("mask")
    for call, meaning in (
        ("attend(x, pad_mask(x))", "hidden"),
        ("attend(x, ~pad_mask(x))", None),
    ):
        thing = Thing(
            "attend",
            "function",
            parameters,
            "mask: from pad_mask",
            calls=(call,),
            makers=(AT_PADDING,),
        )
        assert meaning_by_its_maker(thing, "mask") == meaning


@pytest.mark.parametrize(
    ("doc", "code", "meaning"),
    [
        ("True at padding.", "tokens == 0", "hidden"),
        ("True at padding.", "tokens != 0", None),
        ("True where a token is not padding.", "tokens != 0", "attends"),
        ("Of ids, where 0 is padding.", "tokens != 0", None),
        ("Of tokens (1 = pad). False at padding.", "mask", "attends"),
        ("Adds two axes; True at padding.", "mask", None),
    ],
)
def test_a_maker_says_what_true_means_and_its_code_agrees(
    doc, code, meaning
):
    source = f"def pad_mask(tokens):\n    return ({code})[:, None]"
    assert meaning_made(doc, source) == meaning


LIBRARY = """
def pad_mask(ids):
    '''True at padding.'''
    return ids == 0


def causal_mask(ids):
    return ids


def attend(x, mask):
    '''mask: from pad_mask'''
    return x * mask
"""


def test_the_makers_that_a_text_names_are_known(tmp_path):
    path = tmp_path / "library.py"
    path.write_text(LIBRARY)
    things = Host().load(str(path), 20)["things"]
    (attend,) = (each for each in things if each.name == "attend")
    assert [name for name, *_ in attend.makers] == ["pad_mask"]
    assert meaning_by_its_maker(attend, "mask") == "hidden"
