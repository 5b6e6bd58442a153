"""Tokenizers of the walk: words, BPE, GPT-2's BPE, BERT's WordPiece."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray as Array

from numpy_ref.checkpoints.model_folders import packaged_path
from numpy_ref.checkpoints.model_tokenizers import tokenizer_of
from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.bpe_training import train_bpe
from numpy_ref.tokenizers.gpt2_vocabulary import gpt2_tokenizer
from numpy_ref.tokenizers.pretokens import SAFE_CUT, blocks, split
from parity_tests.twins.recording import Call
from torch_impl.byte_pair_encoding import byte_ids, merge_all, merge_table
from torch_impl.word_tokenizer import (
    UNKNOWN,
    build_vocabulary,
    encode,
    split_words,
)

from ..text.progress import progress
from ..text.spelling import shortened
from .stops import MERGING, WORDS, Stop

MOST_MERGES = 256  # learned from a text; a short one has fewer
PER_MERGE = 4  # characters; at that rate some words stay in pieces
MOST_RECORDED = 10**5  # characters, split with a recorder at work


@dataclass(frozen=True)
class Tokenized:
    """A text in tokens, and what the walk shows of how it got there.

    `steps` runs the twinned steps, to be recorded, and `stops` are those
    to show; `token_text` is the text of an id of a BPE, for the merging.
    """

    tokens: list[str]
    ids: Array
    vocabulary: int
    unknown: int
    about: str
    steps: Callable[[], None] = lambda: None
    stops: tuple[Stop, ...] = ()
    token_text: Callable[[int], str] = str


def by_words(text: str, training_text: str) -> Tokenized:
    """Words and punctuation, with the vocabulary of `training_text`.

    Of a long text, only the beginning is recorded: a recorder is called
    at each call, also of a function in C, of which each word has several.
    """
    words = split_words(training_text)
    tokens = words if text == training_text else split_words(text)
    check_some_known(text, tokens, set(words))
    vocabulary = build_vocabulary(words)
    ids = encode(text, vocabulary).numpy()

    recorded = beginning(text)

    def steps():
        split_words(beginning(training_text))
        encode(recorded, build_vocabulary(words))

    unknown = int((ids == vocabulary[UNKNOWN]).sum())
    about = "words, punctuation and double dashes"
    if recorded != text:
        about += f" (the first {len(recorded):,} characters step by step)"
    size = len(vocabulary)
    return Tokenized(tokens, ids, size, unknown, about, steps, WORDS)


def by_trained_bpe(text: str, training_text: str) -> Tokenized:
    """Byte-pair encoding, its merges learned from `training_text`."""
    merges = min(MOST_MERGES, len(training_text) // PER_MERGE)
    watch = progress("learning merges", total=merges)
    learned = train_bpe(training_text, 256 + merges, watch=watch)
    tokenizer = BytePairTokenizer(learned)
    source = "this text" if training_text == text else "the corpus"
    about = (
        f"byte-pair encoding, {len(learned)} merges learned from {source}"
    )
    return by_merging(text, tokenizer, about)


def by_gpt2(text: str, training_text: str) -> Tokenized:
    """Byte-pair encoding with the vocabulary of GPT-2."""
    return by_merging(text, gpt2_tokenizer(), "GPT-2's byte-pair encoding")


def by_merging(
    text: str, tokenizer: BytePairTokenizer, about: str
) -> Tokenized:
    ids = tokenizer.encode(text)
    word = a_word_of(text)

    def token_text(token_id: int) -> str:
        return tokenizer.tokens[token_id].decode(errors="replace")

    def steps():
        table = merge_table(torch.from_numpy(tokenizer.merges))
        merge_all(byte_ids(word.encode()), table)

    texts = {index: token_text(index) for index in np.unique(ids).tolist()}
    tokens = [texts[token_id] for token_id in ids.tolist()]
    size = len(tokenizer.tokens)
    return Tokenized(
        tokens, ids, size, 0, about, steps, MERGING, token_text
    )


def by_wordpiece(text: str, training_text: str) -> Tokenized:
    """BERT's WordPiece, with the vocabulary of the packaged model.

    A text is taken block by block; no token crosses from one to the next.
    """
    tokenizer = tokenizer_of(packaged_path("bert"))
    parts = [*blocks(text)]
    watch = progress("tokenizing")
    inner = [
        token.token
        for part in watch(parts)
        for token in tokenizer.tokenize(part)
    ]
    tokens = [tokenizer.names.first, *inner, tokenizer.names.end]
    ids = np.array([tokenizer.vocabulary[token] for token in tokens])
    return Tokenized(
        tokens,
        ids,
        len(tokenizer.vocabulary),
        tokens.count(tokenizer.names.unknown),
        "BERT's WordPiece, lower case, with [CLS] and [SEP]",
    )


TOKENIZERS = {
    "words": by_words,
    "bpe": by_trained_bpe,
    "gpt2": by_gpt2,
    "wordpiece": by_wordpiece,
}


def merge_lines(
    calls: list[Call], token_text: Callable[[int], str]
) -> list[str]:
    """One word, merge by merge: a line before and after each."""
    merges = [call for call in calls if call.name == "merge_lowest"]
    if not merges:
        return []
    rows = [merges[0].arguments["ids"]]
    rows += [call.steps["merged"] for call in merges]
    return ["|".join(map(token_text, row.tolist())) for row in rows]


def a_word_of(text: str, most: int = 12) -> str:
    """The longest of the first pre-tokens that is not too long to show."""
    pretokens = [
        piece for piece in split(text[:2000]) if len(piece) <= most
    ]
    return max(pretokens, key=len, default=text[:most])


def beginning(text: str) -> str:
    """The first MOST_RECORDED characters of a text, to the next space."""
    cut = SAFE_CUT.search(text, MOST_RECORDED)
    return text[: cut.start()] if cut else text


def check_some_known(text: str, tokens: list[str], words: set[str]) -> None:
    """Raise ValueError when no word of the text is in the vocabulary."""
    if tokens and not words & set(tokens):
        raise ValueError(
            f"expected at least one of the {len(words):,} words in the "
            f"vocabulary, got {shortened(text)!r}"
        )


def distinct(ids: Array) -> int:
    return len(np.unique(ids))
