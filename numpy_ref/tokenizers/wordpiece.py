"""WordPiece, BERT's tokenizer: the longest known piece first.

A word is cut from the left into the longest pieces that the vocabulary
has; a piece that continues a word begins with `##`. A word that cannot
be cut so is `[UNK]`, all of it (Devlin et al. 2019, section 4.1; Wu et
al. 2016, section 4.1). A special token that stands in a text is that
token.
"""

from collections.abc import Collection, Container, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from ..checked import check_at_least, checked
from ..files import read_text_lines
from .added_tokens import AddedToken, AddedTokens
from .bert_words import UNCASED, Normalization, Placed, basic_tokens
from .pretokens import check_can_be_bytes

LONGEST_WORD = 100  # characters; a longer one is unknown


class SpecialNames(NamedTuple):
    """What a vocabulary calls its special tokens."""

    unknown: str = "[UNK]"
    first: str = "[CLS]"
    end: str = "[SEP]"
    padding: str = "[PAD]"
    mask: str = "[MASK]"


BERT_NAMES = SpecialNames()


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

    `added` are tokens that stay whole in a text; by default, the special
    ones that the vocabulary has. `vocabulary` has all tokens, those too.
    Raises ValueError for a vocabulary that lacks the name of an unknown
    word, the first token or the end.

    >>> tokens = ["[UNK]", "[CLS]", "[SEP]", "un", "##want", "##ed"]
    >>> vocabulary = {token: index for index, token in enumerate(tokens)}
    >>> tokenizer = WordPieceTokenizer(vocabulary)
    >>> tokenizer.encode("Unwanted").tokens
    ['[CLS]', 'un', '##want', '##ed', '[SEP]']
    """

    kind = "WordPiece"

    def __init__(
        self,
        vocabulary: dict[str, int],
        normalization: Normalization = UNCASED,
        names: SpecialNames = BERT_NAMES,
        added: Collection[AddedToken] | None = None,
        longest_word: int = LONGEST_WORD,
    ):
        if added is None:
            added = [
                AddedToken(name, vocabulary[name])
                for name in names
                if name in vocabulary
            ]
        self._added = AddedTokens(added, normalization)
        self._pieces = vocabulary
        self._longest_word = longest_word
        self.vocabulary = vocabulary | self._added.ids
        self.special_tokens = self._added.special
        self.normalization = normalization
        self.names = names
        check_has_needed(self.vocabulary, names)

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
        rows = [[*part, Token(self.names.end)] for part in parts]
        rows[0].insert(0, Token(self.names.first))
        return self._encoded(rows)

    @checked
    def tokenize(self, text: str) -> list[Token]:
        """The tokens of a text; an added token in it stays whole.

        Raises ValueError for a lone surrogate.
        """
        check_can_be_bytes(text)
        return [
            token
            for part, whole in self._added.part(text)
            for token in self._tokenize_part(part, whole)
        ]

    def _tokenize_part(self, part: Placed, whole: bool) -> list[Token]:
        if whole:
            return [token_at(part.text, part.places)]
        return [
            token
            for word in basic_tokens(part)
            for token in self._cut_word(word)
        ]

    def _cut_word(self, word: Placed) -> list[Token]:
        """The longest pieces of a word, or the unknown token."""
        short = len(word.text) <= self._longest_word
        tokens = cut_word(word, self._pieces) if short else None
        return tokens or [token_at(self.names.unknown, word.places)]

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


def token_at(token: str, places: Sequence[int]) -> Token:
    """A token that stands at these places of the text."""
    return Token(token, places[0], places[-1] + 1)


def cut_word(
    word: Placed, vocabulary: Container[str]
) -> list[Token] | None:
    """The longest pieces of a word from left to right, or None."""
    text, places = word
    tokens, begin = [], 0
    while begin < len(text):
        end = longest_piece(text, begin, vocabulary)
        if end is None:
            return None
        piece = piece_of(text, begin, end)
        tokens.append(token_at(piece, places[begin:end]))
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

    Lines end as they do anywhere (LF or CRLF; the last may have no end),
    a byte-order mark is no part of a token, and empty lines at the end
    are none. Raises ValueError for a file that is not UTF-8, that has an
    empty line between two tokens or a token twice, and for another hash
    than `sha256`.
    """
    tokens = read_text_lines(path, sha256)
    vocabulary = {}
    for index, token in enumerate(tokens):
        if not token or token in vocabulary:
            raise ValueError(
                f"expected a new token in line {index + 1} of {path}, "
                f"got {token!r}"
                + f", that of line {vocabulary.get(token, -1) + 1}"
                * (token in vocabulary)
            )
        vocabulary[token] = index
    return vocabulary


def check_has_needed(
    vocabulary: dict[str, int], names: SpecialNames
) -> None:
    """Raise ValueError when there is no token to begin or end with."""
    needed = (names.unknown, names.first, names.end)
    missing = [token for token in needed if token not in vocabulary]
    if missing:
        raise ValueError(
            f"expected {', '.join(needed)} in the vocabulary, "
            f"got {len(vocabulary)} tokens without {', '.join(missing)}"
        )
