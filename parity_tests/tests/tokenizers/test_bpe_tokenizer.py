import string
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref.byte_pair_encoding import byte_ids, merge_all, merge_table
from numpy_ref.tokenizers import bpe_tokenizer
from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.bpe_training import train_bpe
from numpy_ref.tokenizers.gpt2_vocabulary import gpt2_tokenizer
from parity_tests.oracles.tokenizers import (
    END_OF_TEXT,
    TEXT,
    by_tiktoken,
    gpt2_by_tiktoken,
    standard_library,
)
from study.text.corpus import sample

SPECIALS = (END_OF_TEXT, "<|pad|>", "<|", " the", "aaa")
CHOICE = st.one_of(st.just("all"), st.sets(st.sampled_from(SPECIALS)))


@pytest.fixture(scope="module")
def ours():
    return gpt2_tokenizer()


@pytest.fixture(scope="module")
def trained():
    merges = train_bpe(standard_library(50_000), 600, SPECIALS)
    return BytePairTokenizer(merges, SPECIALS)


@pytest.fixture(scope="module")
def trained_oracle(trained):
    return by_tiktoken(trained.mergeable_ranks, trained.special_tokens)


@given(TEXT)
def test_gpt2_s_ids_are_those_of_tiktoken(ours, text):
    expected = gpt2_by_tiktoken().encode_ordinary(text)
    assert ours.encode_ordinary(text).tolist() == expected


@given(TEXT)
def test_ids_of_ranks_trained_here_are_those_of_tiktoken(
    trained, trained_oracle, text
):
    expected = trained_oracle.encode_ordinary(text)
    assert trained.encode_ordinary(text).tolist() == expected


def test_the_ids_of_the_standard_library_are_those_of_tiktoken(ours):
    text = standard_library(1_000_000)
    expected = gpt2_by_tiktoken().encode_ordinary(text)
    assert ours.encode_ordinary(text).tolist() == expected


def test_the_verdict_has_5145_tokens(ours, the_verdict):
    ids = ours.encode(the_verdict).tolist()
    assert ids == gpt2_by_tiktoken().encode(the_verdict)
    assert len(ids) == 5145


def test_the_sample_s_ids_are_those_of_tiktoken(ours):
    text = sample()
    expected = gpt2_by_tiktoken().encode_ordinary(text)
    assert ours.encode_ordinary(text).tolist() == expected


def outcome(encode, *arguments):
    """The ids, or that the text was refused."""
    try:
        return list(map(int, encode(*arguments)))
    except ValueError:
        return "refused"


@given(
    st.lists(st.sampled_from([*SPECIALS, "<|pad", "a", " "]) | TEXT).map(
        "".join
    ),
    CHOICE,
    st.one_of(CHOICE, st.sets(st.sampled_from(["a", "<|pad"]))),
)
def test_special_tokens_are_treated_as_tiktoken_treats_them(
    trained, trained_oracle, text, allowed, disallowed
):
    def oracle(text, allowed, disallowed):
        return trained_oracle.encode(
            text, allowed_special=allowed, disallowed_special=disallowed
        )

    expected = outcome(oracle, text, allowed, disallowed)
    assert outcome(trained.encode, text, allowed, disallowed) == expected


@given(TEXT)
def test_a_text_comes_back_from_its_ids(ours, trained, text):
    for tokenizer in (ours, trained):
        assert tokenizer.decode(tokenizer.encode_ordinary(text)) == text


@given(st.lists(st.integers(0, 50256) | st.integers(0, 255), max_size=20))
def test_any_ids_are_decoded_as_tiktoken_decodes_them(ours, ids):
    array = np.array(ids, dtype=np.int64)
    assert ours.decode(array) == gpt2_by_tiktoken().decode(ids)
    assert ours.decode_bytes(array) == gpt2_by_tiktoken().decode_bytes(ids)


@given(TEXT)
def test_tokens_begin_where_tiktoken_says(ours, text):
    ids = ours.encode_ordinary(text)
    _, begins = gpt2_by_tiktoken().decode_with_offsets(ids.tolist())
    assert ours.spans(ids)[:, 0].tolist() == begins


@given(TEXT)
def test_a_token_ends_with_the_character_of_its_last_byte(ours, text):
    ids = ours.encode_ordinary(text)
    so_far = 0
    for token_id, end in zip(ids, ours.spans(ids)[:, 1], strict=True):
        so_far += len(
            gpt2_by_tiktoken().decode_single_token_bytes(token_id)
        )
        assert len(text[: end - 1].encode()) < so_far
        assert len(text[:end].encode()) >= so_far


def test_a_broken_character_has_no_span(ours):
    with pytest.raises(ValueError, match="got a broken one at byte 1"):
        ours.spans(np.array([64, 187]))


def test_the_cache_is_bounded(ours, monkeypatch):
    monkeypatch.setattr(bpe_tokenizer, "MOST_CACHED", 100)
    tokenizer = BytePairTokenizer(ours.merges)
    words = map("".join, product(string.ascii_letters, repeat=2))
    text = " ".join(words) + " " + "x" * 1000
    for _ in range(2):
        ids = tokenizer.encode(text).tolist()
        assert ids == gpt2_by_tiktoken().encode_ordinary(text)
    assert 0 < len(tokenizer._seen) <= 100
    assert max(map(len, tokenizer._seen)) <= bpe_tokenizer.LONGEST_CACHED


def test_the_cache_changes_nothing(ours):
    cold = BytePairTokenizer(ours.merges, (END_OF_TEXT,))
    text = standard_library(100_000)
    np.testing.assert_array_equal(
        cold.encode_ordinary(text), cold.encode_ordinary(text)
    )


def test_ids_can_be_changed_by_their_owner(ours):
    ids = ours.encode("a b")
    ids[0] = 0
    assert ours.encode("a b").tolist() == [64, 275]


@pytest.mark.parametrize("token_id", [-1, 50257])
def test_an_id_that_does_not_exist_is_refused(ours, token_id):
    ids = np.array([0, token_id])
    for function in (ours.decode, ours.decode_bytes, ours.spans):
        with pytest.raises(
            ValueError,
            match=f"expected ids from 0 to 50256, got {token_id}$",
        ):
            function(ids)


def test_a_special_token_that_is_typed_is_that_token(ours):
    assert ours.encode(f"a{END_OF_TEXT}").tolist() == [64, 50256]


def test_where_it_is_not_allowed_it_is_refused_with_the_way_out(ours):
    with pytest.raises(ValueError, match="expected a text without special"):
        ours.encode(f"a{END_OF_TEXT}", allowed_special=())
    named = ours.encode(f"a{END_OF_TEXT}", allowed_special={END_OF_TEXT})
    assert named.tolist() == [64, 50256]


def test_a_token_is_reached_by_its_merges_alone():
    """b + c comes before ab + c, so that no text becomes "abc"."""
    merges = np.array([[65, 66], [64, 65], [257, 66]])
    tokenizer = BytePairTokenizer(merges)
    assert tokenizer.tokens[258] == b"abc"
    expected = merge_all(byte_ids(b"abc"), merge_table(merges))
    assert expected.tolist() == [64, 256]
    assert tokenizer.encode("abc").tolist() == [64, 256]


def test_the_longest_special_token_comes_first():
    tokenizer = BytePairTokenizer(
        np.zeros((0, 2), dtype=np.int64), ("<a>", "<a><b>")
    )
    ids = tokenizer.encode("<a><b><a>", allowed_special="all")
    assert ids.tolist() == [257, 256]


@pytest.mark.parametrize(
    "argument", ["allowed_special", "disallowed_special"]
)
def test_one_text_is_not_taken_for_a_set_of_letters(ours, argument):
    with pytest.raises(ValueError, match='expected "all" or a set'):
        ours.encode("text", **{argument: END_OF_TEXT})


@pytest.mark.parametrize(
    "text", ["\ud800", "a\udfff", "\ud83d\ude00"], ids=ascii
)
def test_a_lone_surrogate_is_refused(ours, text):
    with pytest.raises(
        ValueError, match="text without lone surrogates, got"
    ):
        ours.encode(text)


def test_bytes_are_refused(ours):
    with pytest.raises(ValueError, match="expected text: str, got bytes"):
        ours.encode(b"text")


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ([[64, 256]], r"merge 0 to be of ids below 256, got \[64, 256\]"),
        ([[64, 64], [-1, 0]], r"merge 1 to be of ids below 257, got \[-1"),
    ],
)
def test_a_merge_of_what_comes_later_is_refused(merges, message):
    with pytest.raises(ValueError, match=message):
        BytePairTokenizer(np.array(merges))


@pytest.mark.parametrize("special_tokens", [("",), ("<a>", "<b>", "<a>")])
def test_special_tokens_must_differ(special_tokens):
    with pytest.raises(ValueError, match="special tokens to be different"):
        BytePairTokenizer(np.zeros((0, 2), np.int64), special_tokens)
