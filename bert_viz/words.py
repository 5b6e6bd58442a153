"""Word pieces joined into words, and their weights with them.

The weight of a word as a key is the sum over its pieces, and that of a
word as a query the mean over them; so rows still sum to 1. (Clark et
al. 2019, section 4.1)
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray as Array

from .attention import Attention

JOINED = "word pieces joined into words"
# How vocabularies write a space: byte-level BPE, and SentencePiece.
SPACES = ("\u0120", "\u2581")


def word_ids(attention: Attention) -> Int[Array, " token"]:
    """Word ids: for each token the index of its word.

    A BERT's piece continues a word when it begins with ##; a token of a
    GPT-2, a RoBERTa or an ALBERT when it does not begin with a space, or
    the sign for one. Special tokens are words of their own.
    """
    return ids_of(attention.tokens, attention.special, attention.causal)


def key_word_ids(attention: Attention) -> Int[Array, " key"]:
    """Word ids of the keys: in cross-attention those of another text."""
    return ids_of(
        attention.key_tokens, attention.key_special, attention.causal
    )


def ids_of(
    tokens: tuple[str, ...], special: Bool[Array, " token"], causal: bool
) -> Int[Array, " token"]:
    after_special = np.append(True, special[:-1])
    spaced = marks_spaces(tokens, causal)
    begins = [
        alone or not continues(token, spaced)
        for token, alone in zip(
            tokens, special | after_special, strict=True
        )
    ]
    return np.cumsum(begins) - 1


def marks_spaces(tokens: tuple[str, ...], causal: bool) -> bool:
    """Whether tokens say where words begin, rather than where they go on.

    A causal model's do; of the others, a RoBERTa's, which are known by
    its `<s>`, and those of SentencePiece, which begin with U+2581.
    """
    return (
        causal
        or "<s>" in tokens
        or any(token.startswith("\u2581") for token in tokens)
    )


def continues(token: str, spaced: bool) -> bool:
    if spaced:
        return not (token[:1].isspace() or token.startswith(SPACES))
    return token.startswith("##")


def joined(attention: Attention) -> Attention:
    """The attention between words; of its arrays only weights remain."""
    rows = pieces_of(word_ids(attention))
    columns = pieces_of(key_word_ids(attention))
    first, first_key = rows.argmax(axis=-1), columns.argmax(axis=-1)
    mean = rows / rows.sum(axis=-1, keepdims=True)
    key_words = words_of(attention.key_tokens, columns, attention.causal)
    key_special = attention.key_special[first_key]
    dtype = attention.weights.dtype
    return replace(
        attention,
        tokens=words_of(attention.tokens, rows, attention.causal),
        weights=mean.astype(dtype)
        @ attention.weights
        @ columns.T.astype(dtype),
        special=attention.special[first],
        segments=attention.segments[first],
        rows=f"{attention.rows}; {JOINED}",
        queries=None,
        keys=None,
        values=None,
        outputs=None,
        cross_tokens=key_words if attention.is_cross else None,
        cross_special=key_special if attention.is_cross else None,
    )


def pieces_of(ids: Int[Array, " token"]) -> Bool[Array, "word token"]:
    """Which tokens are the pieces of each word."""
    return np.arange(ids[-1] + 1)[:, None] == ids


def words_of(
    tokens: tuple[str, ...], pieces: Bool[Array, "word token"], causal: bool
) -> tuple[str, ...]:
    """Each word, put together from its pieces."""
    spaced = marks_spaces(tokens, causal)
    return tuple(
        "".join(
            piece(tokens[position], spaced)
            for position in np.flatnonzero(row)
        )
        for row in pieces
    )


def piece(token: str, spaced: bool) -> str:
    """A token as it stands in a word: without ##, a sign as a space."""
    if not spaced:
        return token.removeprefix("##")
    return f" {token[1:]}" if token.startswith(SPACES) else token
