import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref.tokenizers.bpe_training import train_bpe
from parity_tests.oracles.tokenizers import (
    TEXT,
    standard_library,
    trained_by_tokenizers,
)

# Few letters: many equal counts, many overlaps.
WORDS = st.lists(st.text("aab", max_size=9), max_size=9).map(" ".join)


def pairs(merges: np.ndarray) -> list[tuple[int, int]]:
    return list(map(tuple, merges.tolist()))


@given(st.one_of(WORDS, st.text("abc ", max_size=60), TEXT))
def test_it_learns_what_hugging_face_s_trainer_learns(text):
    assert pairs(train_bpe(text, 290)) == trained_by_tokenizers(text, 290)


def test_it_learns_the_same_from_the_verdict(the_verdict):
    assert pairs(train_bpe(the_verdict, 512)) == trained_by_tokenizers(
        the_verdict, 512
    )


def test_it_learns_the_same_from_much_text():
    text = standard_library(100_000)
    assert pairs(train_bpe(text, 1000)) == trained_by_tokenizers(text, 1000)


def test_of_equal_counts_the_smallest_pair_is_merged_first():
    # Bytes in GPT-2's order: "a" is 64, "b" 65, a space 220.
    assert pairs(train_bpe("ab ba", 257)) == [(64, 65)]
    assert pairs(train_bpe("ba ab", 257)) == [(64, 65)]


def test_overlapping_pairs_count_each():
    # Five times `aa`, though only three could be merged; four times `bc`.
    assert pairs(train_bpe("aaaaaa bc bc bc bc", 257)) == [(64, 64)]


def test_a_merge_never_crosses_a_pretoken():
    # "d." occurs six times, but a word ends between the two.
    merges = pairs(train_bpe("xd. yd. zd. ud. vd. wd.", 300))
    assert all(pair != (67, 13) for pair in merges)


def test_it_stops_when_no_pair_is_left():
    assert len(train_bpe("ab", 1000)) == 1
    assert train_bpe("", 1000).shape == (0, 2)


def test_special_tokens_take_their_room():
    text = "the cat sat on the mat"
    with_room = train_bpe(text, 262, special_tokens=("<|endoftext|>",))
    assert pairs(with_room) == pairs(train_bpe(text, 261))
    assert len(with_room) == 5


def test_every_merge_passes_by_the_watch():
    passed = []

    def watch(merges):
        for merge in merges:
            passed.append(merge)
            yield merge

    assert pairs(train_bpe("low lower lowest", 259, watch=watch)) == passed
    assert len(passed) == 3


@pytest.mark.parametrize(
    ("size", "special_tokens"), [(255, ()), (256, ("<|endoftext|>",))]
)
def test_a_vocabulary_without_room_for_bytes_is_refused(
    size, special_tokens
):
    with pytest.raises(ValueError, match=f"at least 25[67], got {size}"):
        train_bpe("text", size, special_tokens)


def test_bytes_are_refused():
    with pytest.raises(ValueError, match="expected text: str, got bytes"):
        train_bpe(b"text", 300)
