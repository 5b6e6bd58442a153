import string
from functools import cache
from itertools import pairwise

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref.tokenizers import pretokens
from numpy_ref.tokenizers.pretokens import (
    LETTER,
    NUMBER,
    PATTERN,
    WHITE,
    split,
)
from parity_tests.oracles.tokenizers import (
    CHARACTERS,
    TEXT,
    classes_by_tiktoken,
    standard_library,
)

DIGITS = st.text(st.sampled_from("12²Ⅷ٣ \n\u3000a'ls.é😀"), max_size=12)
KINDS = {LETTER: r"\p{L}", NUMBER: r"\p{N}", WHITE: r"\s"}


def characters_of_kind(kind: int) -> set[str]:
    table = pretokens.kind_table()
    of_kind = {char for char in CHARACTERS if table[ord(char)] == kind}
    return of_kind | {" "} if kind == WHITE else of_kind


@cache
def newer_than_ours() -> set[str]:
    """Characters that `regex` calls letters or numbers, and we do not."""
    text = "".join(CHARACTERS)
    return set().union(
        *(
            set(regex.findall(pattern, text)) ^ characters_of_kind(kind)
            for kind, pattern in KINDS.items()
        )
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_character_is_of_the_kind_that_tiktoken_says(kind):
    assert characters_of_kind(kind) == classes_by_tiktoken(KINDS[kind])


def test_regex_differs_only_in_characters_that_we_do_not_know_yet(capsys):
    known = characters_of_kind(LETTER) | characters_of_kind(NUMBER)
    newer = newer_than_ours()
    assert not newer & known
    with capsys.disabled():
        print(f" [regex knows {len(newer)} newer letters and numbers]")


@given(TEXT)
def test_the_split_is_that_of_the_pattern(text):
    known = "".join(char for char in text if char not in newer_than_ours())
    assert split(known) == regex.findall(PATTERN, known)


@given(TEXT | DIGITS)
def test_each_digit_is_cut_out_before_the_rest_is_split(text):
    known = "".join(char for char in text if char not in newer_than_ours())
    expected = [
        piece
        for part in regex.split(r"(\p{N})", known)
        for piece in regex.findall(PATTERN, part)
    ]
    places = pretokens.digit_boundaries(known).tolist()
    assert [known[a:b] for a, b in pairwise(places)] == expected


def test_every_two_letters_after_an_apostrophe_are_split_as_they_should():
    pattern = regex.compile(PATTERN)
    letters = string.ascii_letters
    for first in letters:
        text = " ".join(f"a'{first}{x}'{first} '{first}" for x in letters)
        assert split(text) == pattern.findall(text)


def test_the_split_of_the_standard_library_is_that_of_the_pattern():
    text = standard_library(1_000_000)
    assert split(text) == regex.findall(PATTERN, text)


@given(TEXT, st.integers(1, 5))
def test_where_a_text_is_cut_into_blocks_changes_nothing(text, size):
    expected = pretokens.pieces(text) if text else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretokens, "BLOCK", size)
        assert split(text) == expected


def test_a_text_is_cut_into_many_blocks():
    text = "one two\nthree " * 20_000
    lengths = [len(block) for block in pretokens.blocks(text)]
    assert len(lengths) == 5
    assert max(lengths) < pretokens.BLOCK + 10


@pytest.mark.parametrize("place", [0, 3, 100_000])
def test_a_lone_surrogate_is_refused(place):
    text = "word " * 30_000
    text = text[:place] + "\udc80" + text[place:]
    with pytest.raises(ValueError, match=rf"got '\\udc80' at {place}$"):
        split(text)
