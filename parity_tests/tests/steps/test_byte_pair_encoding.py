"""The array form and the fast form, held against tiktoken."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from numpy_ref.byte_pair_encoding import (
    BYTE_ORDER,
    byte_ids,
    merge_all,
    merge_table,
)
from numpy_ref.tokenizers.bpe_training import train_bpe
from numpy_ref.tokenizers.bpe_vocabulary import merged_tokens, rank_of_pairs
from numpy_ref.tokenizers.fast_merging import (
    LONG,
    fast_byte_ids,
    fast_merge_all,
    merge_by_heap,
    merge_by_scan,
)
from numpy_ref.tokenizers.gpt2_vocabulary import gpt2_merges
from numpy_ref.tokenizers.token_chain import TokenChain
from parity_tests.oracles.tokenizers import (
    TEXT,
    by_tiktoken,
    gpt2_by_tiktoken,
)

# Few letters, so that pairs repeat, overlap and build on each other.
WORD = st.text("aab", max_size=30)
WORDS = st.lists(WORD, max_size=6).map(" ".join)


@given(st.one_of(WORDS, TEXT), st.one_of(WORD, TEXT))
def test_array_form_scan_heap_and_tiktoken_give_the_same(text, word):
    assume(word)
    merges = train_bpe(text, 300)
    tokens, ranks = merged_tokens(merges), rank_of_pairs(merges)
    oracle = by_tiktoken(
        {tokens[rank]: rank for rank in range(len(tokens))}, {}
    )
    data = word.encode()
    expected = oracle._encode_single_piece(data)
    ids = merge_all(byte_ids(data), merge_table(merges))
    assert ids.tolist() == expected
    for merge in (merge_by_scan, merge_by_heap, fast_merge_all):
        assert merge(fast_byte_ids(data), ranks) == expected


@pytest.fixture(scope="module")
def gpt2_ranks():
    return rank_of_pairs(gpt2_merges())


@given(st.one_of(st.text("abcdefgh ", max_size=300), TEXT))
def test_with_gpt2_s_merges_scan_heap_and_tiktoken_give_the_same(
    gpt2_ranks, word
):
    assume(word)
    data = word.encode()
    expected = gpt2_by_tiktoken()._encode_single_piece(data)
    assert merge_by_scan(fast_byte_ids(data), gpt2_ranks) == expected
    assert merge_by_heap(fast_byte_ids(data), gpt2_ranks) == expected


@pytest.mark.parametrize("length", [LONG - 1, LONG, 10_000])
def test_one_long_pretoken_is_what_tiktoken_makes_of_it(gpt2_ranks, length):
    random = np.random.default_rng(length)
    for letters in (b"a", b"ab", b"abcdefghijklmnopqrstuvwxyz"):
        data = bytes(random.choice(list(letters), length).tolist())
        expected = gpt2_by_tiktoken()._encode_single_piece(data)
        assert fast_merge_all(fast_byte_ids(data), gpt2_ranks) == expected


def test_the_array_form_is_right_with_gpt2_s_merges():
    table = merge_table(gpt2_merges())
    for word in (
        " attention",
        "antidisestablishmentarianism",
        "\uff41😀",
        "===",
    ):
        expected = gpt2_by_tiktoken()._encode_single_piece(word.encode())
        ids = merge_all(byte_ids(word.encode()), table)
        assert ids.tolist() == expected


def merge(word: bytes, pairs: list[tuple[int, int]]) -> list[int]:
    merges = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return merge_all(byte_ids(word), merge_table(merges)).tolist()


def test_in_aaa_the_pair_aa_is_merged_once():
    a = BYTE_ORDER.index(b"a")
    assert merge(b"aaa", [(a, a)]) == [256, a]
    assert merge(b"aaaa", [(a, a)]) == [256, 256]


def test_the_lowest_rank_is_merged_and_not_the_first_pair():
    a, b, c = (BYTE_ORDER.index(letter) for letter in b"abc")
    assert merge(b"abc", [(b, c), (a, b)]) == [a, 256]
    assert merge(b"abc", [(a, b), (b, c)]) == [256, c]


def test_without_merges_a_word_is_its_bytes():
    assert bytes(map(BYTE_ORDER.__getitem__, merge(b"\xff a", []))) == (
        b"\xff a"
    )
    assert merge(b"", []) == []


def test_no_pair_of_a_chain_reaches_across_a_row():
    chain = TokenChain([[1, 2], [], [3], [4, 5, 6]])
    assert [pair for _, pair in chain.all_pairs()] == [
        (1, 2),
        (4, 5),
        (5, 6),
    ]


def test_ids_of_another_kind_are_refused():
    table = merge_table(np.zeros((0, 2), dtype=np.int64))
    with pytest.raises(ValueError, match='expected ids: Int "token"'):
        merge_all(np.zeros(3), table)
    with pytest.raises(ValueError, match="expected merges: Int"):
        merge_table(np.zeros((2, 3), dtype=np.int64))
