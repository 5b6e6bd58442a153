"""WordPiece, BERT's tokenizer: the longest known piece first.

A word is cut from the left into the longest pieces that the vocabulary
has; a piece that continues a word begins with `##`. A word that cannot
be cut so is `[UNK]`, all of it (Devlin et al. 2019, section 4.1; Wu et
al. 2016, section 4.1).
"""

from collections.abc import Container
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from ..checked import check_at_least, checked
from ..files import read_lines
from .bert_words import Placed, basic_tokens
from .pretokens import check_can_be_bytes
from .special_tokens import any_of

UNKNOWN, FIRST, END = "[UNK]", "[CLS]", "[SEP]"
NEEDED = (UNKNOWN, FIRST, END)
SPECIAL = (*NEEDED, "[PAD]", "[MASK]")

LONGEST_WORD = 100  # characters; a longer one is unknown


class Token(NamedTuple):
    """A token, and where in the text it begins and ends."""

    token: str
    begin: int = 0
    end: int = 0


class Encoded(NamedTuple):
    """Encoded: one text or two as BERT reads them.

    `segments` is 0 for the first text and 1 for the second, each with
    the `[SEP]` after it. A span counts characters of the token's own
    text; that of a token which stands in no text is (0, 0).
    """

    tokens: list[str]
    ids: Int[Array, " token"]
    segments: Int[Array, " token"]
    spans: Int[Array, "token 2"]


class WordPieceTokenizer:
    """BERT's tokenizer, with a vocabulary of tokens and their ids.

    Raises ValueError for a vocabulary without [UNK], [CLS] or [SEP].

    >>> tokens = ["[UNK]", "[CLS]", "[SEP]", "un", "##want", "##ed"]
    >>> vocabulary = {token: index for index, token in enumerate(tokens)}
    >>> tokenizer = WordPieceTokenizer(vocabulary)
    >>> tokenizer.encode("Unwanted").tokens
    ['[CLS]', 'un', '##want', '##ed', '[SEP]']
    """

    def __init__(self, vocabulary: dict[str, int], lowercase: bool = True):
        check_has_needed(vocabulary)
        self.vocabulary = vocabulary
        self.lowercase = lowercase
        self.special_tokens = vocabulary.keys() & SPECIAL
        self._special = any_of(self.special_tokens)

    @checked
    def encode(
        self,
        text: str,
        second: str | None = None,
        length: int | None = None,
    ) -> Encoded:
        """`[CLS]` text `[SEP]`, or `[CLS]` text `[SEP]` second `[SEP]`.

        With `length` there are no more tokens than that: the longer text
        loses its end, or both do. Raises ValueError for a length without
        room for the special tokens.
        """
        texts = [text] if second is None else [text, second]
        parts = [self.tokenize(part) for part in texts]
        if length is not None:
            check_at_least("length", length, len(texts) + 1)
            parts = truncate(parts, length - len(texts) - 1)
        rows = [[*part, Token(END)] for part in parts]
        rows[0].insert(0, Token(FIRST))
        return self._encoded(rows)

    @checked
    def tokenize(self, text: str) -> list[Token]:
        """The tokens of a text; a special token in it stays whole.

        Raises ValueError for a lone surrogate.
        """
        check_can_be_bytes(text)
        parts = self._special.split(text)
        begins = accumulate(map(len, parts), initial=0)
        return [
            token
            for part, begin in zip(parts, begins, strict=False)
            for token in self._tokenize_part(part, begin)
        ]

    def _tokenize_part(self, part: str, begin: int) -> list[Token]:
        if part in self.special_tokens:
            return [Token(part, begin, begin + len(part))]
        return [
            token
            for word in basic_tokens(part, self.lowercase, begin)
            for token in cut_word(word, self.vocabulary)
        ]

    def _encoded(self, rows: list[list[Token]]) -> Encoded:
        tokens = [token for row in rows for token in row]
        ids = [self.vocabulary[token.token] for token in tokens]
        lengths = [len(row) for row in rows]
        return Encoded(
            tokens=[token.token for token in tokens],
            ids=np.array(ids),
            segments=np.repeat(np.arange(len(rows)), lengths),
            spans=np.array([(token.begin, token.end) for token in tokens]),
        )


def cut_word(word: Placed, vocabulary: Container[str]) -> list[Token]:
    """The longest pieces of a word from left to right, or `[UNK]`."""
    text, places = word
    unknown = Token(UNKNOWN, places[0], places[-1] + 1)
    if len(text) > LONGEST_WORD:
        return [unknown]
    tokens, begin = [], 0
    while begin < len(text):
        end = longest_piece(text, begin, vocabulary)
        if end is None:
            return [unknown]
        piece = piece_of(text, begin, end)
        tokens.append(Token(piece, places[begin], places[end - 1] + 1))
        begin = end
    return tokens


def longest_piece(
    word: str, begin: int, vocabulary: Container[str]
) -> int | None:
    """The end of the longest known piece that begins there, if any."""
    for end in range(len(word), begin, -1):
        if piece_of(word, begin, end) in vocabulary:
            return end
    return None


def piece_of(word: str, begin: int, end: int) -> str:
    """A piece of a word as the vocabulary has it.

    >>> piece_of("unwanted", 0, 2), piece_of("unwanted", 2, 6)
    ('un', '##want')
    """
    return f"##{word[begin:end]}" if begin else word[begin:end]


def truncate(parts: list[list[Token]], room: int) -> list[list[Token]]:
    """Truncate to so many tokens: of two texts, the longer is cut first.

    >>> a, b = [Token("a")] * 2, [Token("b")] * 5
    >>> [len(part) for part in truncate([a, b], 6)]
    [2, 4]
    >>> [len(part) for part in truncate([a, b], 3)]
    [1, 2]
    """
    if len(parts) == 1:
        return [parts[0][:room]]
    first, second = parts
    short = min(len(first), len(second), room // 2)
    long = room - short
    if len(first) <= len(second):
        return [first[:short], second[:long]]
    return [first[:long], second[:short]]


def load_vocabulary(
    path: str | Path, sha256: str | None = None
) -> dict[str, int]:
    """The vocabulary of a `vocab.txt`: a token in each line, ids from 0.

    Raises ValueError for a file that is cut off, has an empty line or a
    token twice, and for another hash than `sha256`.
    """
    tokens = [line.decode() for line in read_lines(path, sha256)]
    vocabulary = {}
    for index, token in enumerate(tokens):
        if not token or token in vocabulary:
            raise ValueError(
                f"expected a new token in line {index + 1} of {path}, "
                f"got {token!r}"
            )
        vocabulary[token] = index
    return vocabulary


def check_has_needed(vocabulary: dict[str, int]) -> None:
    """Raise ValueError when there is no token to begin or end with."""
    missing = [token for token in NEEDED if token not in vocabulary]
    if missing:
        raise ValueError(
            f"expected {', '.join(NEEDED)} in the vocabulary, "
            f"got {len(vocabulary)} tokens without {', '.join(missing)}"
        )
