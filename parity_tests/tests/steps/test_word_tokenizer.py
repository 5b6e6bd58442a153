import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref import word_tokenizer
from parity_tests.twins.strategies import TEXT
from torch_impl import word_tokenizer as torch_word_tokenizer

SIDES = pytest.mark.parametrize(
    "side", [word_tokenizer, torch_word_tokenizer]
)

SPLIT = {
    "": [],
    " \n\t ": [],
    "Hello, world.": ["Hello", ",", "world", "."],
    "Is this-- a test?": ["Is", "this", "--", "a", "test", "?"],
    "well-known---no": ["well-known", "--", "-no"],
    "'It's \"so\"'": ["'", "It", "'", "s", '"', "so", '"', "'"],
    "a_b; c:d (e)!": [
        "a",
        "_",
        "b",
        ";",
        "c",
        ":",
        "d",
        "(",
        "e",
        ")",
        "!",
    ],
    "naïve  3.50 € 🎨\n": ["naïve", "3", ".", "50", "€", "🎨"],
    "end.<|endoftext|>New": ["end", ".", "<|endoftext|>", "New"],
}


@SIDES
@pytest.mark.parametrize("text", SPLIT)
def test_splitting_by_hand(side, text):
    assert side.split_words(text) == SPLIT[text]


@SIDES
def test_encoding_and_decoding_by_hand(side):
    vocabulary = side.build_vocabulary(
        side.split_words("the cat, the dog.")
    )
    assert list(vocabulary) == [
        *(",", ".", "cat", "dog", "the"),
        *("<|endoftext|>", "<|unk|>"),
    ]
    ids = side.encode("the bird, the cat.", vocabulary)
    assert ids.tolist() == [4, 6, 0, 4, 2, 1]
    assert side.decode(ids, vocabulary) == "the <|unk|>, the cat."


@SIDES
def test_decoding_puts_no_space_before_punctuation(side):
    text = "a, b. c: d; e? f! g\" h( i) j' k _ l -- m"
    vocabulary = side.build_vocabulary(side.split_words(text))
    assert side.decode(side.encode(text, vocabulary), vocabulary) == text


@SIDES
def test_two_texts_are_joined_by_a_special_token(side):
    joined = side.join_texts(["the cat", "a dog"])
    vocabulary = side.build_vocabulary(["the", "cat", "a", "dog"])
    ids = side.encode(joined, vocabulary)
    assert ids.tolist().count(vocabulary["<|endoftext|>"]) == 1
    assert side.decode(ids, vocabulary) == joined


@given(TEXT, TEXT)
def test_what_was_decoded_encodes_to_the_same_ids(text, known):
    vocabulary = word_tokenizer.build_vocabulary(
        word_tokenizer.split_words(known)
    )
    ids = word_tokenizer.encode(text, vocabulary)
    decoded = word_tokenizer.decode(ids, vocabulary)
    again = word_tokenizer.encode(decoded, vocabulary)
    np.testing.assert_array_equal(ids, again)


@given(st.text())
def test_splitting_loses_nothing_but_white_space(text):
    tokens = word_tokenizer.split_words(text)
    assert "".join(tokens) == "".join(text.split())


def test_the_verdict_has_the_known_counts(the_verdict):
    assert len(the_verdict) == 20_479
    tokens = word_tokenizer.split_words(the_verdict)
    vocabulary = word_tokenizer.build_vocabulary(tokens)
    assert len(tokens) == 4_690
    assert len(set(tokens)) == 1_130
    assert len(vocabulary) == 1_132


@SIDES
def test_an_id_outside_the_vocabulary_is_refused(side):
    vocabulary = side.build_vocabulary(["cat"])
    ids = side.encode("cat", vocabulary) + 7
    with pytest.raises(
        ValueError, match="expected ids of the 3 tokens, got 7"
    ):
        side.decode(ids, vocabulary)


@SIDES
def test_a_vocabulary_without_the_unknown_token_is_refused(side):
    with pytest.raises(
        ValueError, match=r"expected <\|unk\|> in the vocab"
    ):
        side.encode("cat", {"cat": 0})


@SIDES
def test_bytes_are_refused(side):
    with pytest.raises(ValueError, match="text: str, got bytes"):
        side.encode(b"cat", side.build_vocabulary([]))
