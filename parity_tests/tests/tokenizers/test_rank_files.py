import hashlib
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiktoken.load import load_tiktoken_bpe

from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.bpe_training import train_bpe
from numpy_ref.tokenizers.bpe_vocabulary import (
    merged_tokens,
    merges_of_tokens,
)
from numpy_ref.tokenizers.rank_files import load_ranks, save_ranks
from parity_tests.oracles.tokenizers import TEXT

MERGES = train_bpe("low lower lowest newest widest", 270)


@pytest.fixture
def path(tmp_path) -> Path:
    save_ranks(MERGES, tmp_path / "ranks.tiktoken")
    return tmp_path / "ranks.tiktoken"


def test_ranks_come_back_as_they_were(path):
    np.testing.assert_array_equal(load_ranks(path), MERGES)
    assert load_ranks(path).dtype == MERGES.dtype


def test_tiktoken_reads_the_same_ranks(path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    expected = BytePairTokenizer(MERGES).mergeable_ranks
    assert load_tiktoken_bpe(str(path)) == expected
    assert len(expected) == 270


@given(st.one_of(TEXT, st.text("aab ", max_size=60)))
def test_merges_are_found_again_from_their_tokens(text):
    merges = train_bpe(text, 300)
    recovered = merges_of_tokens(merged_tokens(merges))
    np.testing.assert_array_equal(recovered, merges)


def test_the_hash_is_looked_at(path):
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_array_equal(load_ranks(path, sha256), MERGES)
    path.write_bytes(path.read_bytes() + b"IQ==\n")
    with pytest.raises(ValueError, match=f"the sha256 {sha256}, got"):
        load_ranks(path, sha256)


def test_a_file_cut_off_in_a_line_is_refused(path):
    data = path.read_bytes()
    ends = [*range(0, len(data), 97), *range(len(data) - 40, len(data))]
    for end in ends:
        if data[end - 1 : end] == b"\n":
            continue
        path.write_bytes(data[:end])
        with pytest.raises(
            ValueError, match=r"a line break, got .* cut off"
        ):
            load_ranks(path)


def test_a_file_cut_off_among_the_bytes_is_refused(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:255]))
    with pytest.raises(ValueError, match=r"rank 255 to be .*, got None"):
        load_ranks(path)


def line(token: bytes, rank: int) -> bytes:
    return b64encode(token) + b" %d\n" % rank


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (line(b"lo", 271), "and its rank, 270, got"),
        (line(b"zz", 269), "and its rank, 270, got"),
        (line(b"lo", 270), "rank 270 to be two tokens of lower rank"),
        (line(b"xyz", 270), r"got b'xyz', which is 3 of them"),
        (line(b"", 270), "and its rank, 270, got"),
        (b"e!no= 270\n", "expected a token in base64"),
        (b"!!!! 270\n", "expected a token in base64"),
        (b"\n", "expected a token in base64"),
        (b"eHl6\n", "expected a token in base64"),
        (b"eHl6 x\n", "expected a token in base64"),
    ],
)
def test_a_line_that_cannot_be_is_refused(path, more, message):
    path.write_bytes(path.read_bytes() + more)
    with pytest.raises(ValueError, match=message):
        load_ranks(path)


def test_a_token_before_those_it_is_made_of_is_refused():
    tokens = merged_tokens(np.zeros((0, 2), np.int64))
    with pytest.raises(
        ValueError, match="rank 256 to be two tokens of low"
    ):
        merges_of_tokens([*tokens, b"aab", b"aa"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tokens: tokens[:255], "rank 255 to be .*, got None"),
        (lambda tokens: sorted(tokens), r"rank 0 to be b'!', got b'\\x00'"),
    ],
)
def test_the_first_ids_are_bytes_in_gpt2_s_order(change, message):
    tokens = merged_tokens(np.zeros((0, 2), np.int64))
    with pytest.raises(ValueError, match=message):
        merges_of_tokens(change(tokens))


def test_a_file_is_written_whole_or_not_at_all(path, monkeypatch):
    before = path.read_bytes()
    write_bytes = Path.write_bytes

    def full(self, data):
        write_bytes(self, data[: len(data) // 2])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space left"):
        save_ranks(train_bpe("other words", 260), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_until_it_is_whole_the_old_file_stands(path, monkeypatch):
    before = path.read_bytes()

    def stopped(self, target):
        assert target == path
        assert target.read_bytes() == before
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        save_ranks(train_bpe("other words", 260), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
