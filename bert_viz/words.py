"""Word pieces joined into words, and their weights with them.

The weight of a word as a key is the sum over its pieces, and that of a
word as a query the mean over them; so rows still sum to 1. (Clark et
al. 2019, section 4.1)
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Int
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
    after_special = np.append(True, attention.special[:-1])
    spaced = marks_spaces(attention)
    begins = [
        alone or not continues(token, spaced)
        for token, alone in zip(
            attention.tokens, attention.special | after_special, strict=True
        )
    ]
    return np.cumsum(begins) - 1


def marks_spaces(attention: Attention) -> bool:
    """Whether tokens say where words begin, rather than where they go on.

    A causal model's do; of the others, a RoBERTa's, which are known by
    its `<s>`, and those of SentencePiece, which begin with U+2581.
    """
    return (
        attention.causal
        or "<s>" in attention.tokens
        or any(token.startswith("\u2581") for token in attention.tokens)
    )


def continues(token: str, spaced: bool) -> bool:
    if spaced:
        return not (token[:1].isspace() or token.startswith(SPACES))
    return token.startswith("##")


def joined(attention: Attention) -> Attention:
    """The attention between words; of its arrays only weights remain."""
    ids = word_ids(attention)
    pieces = (np.arange(ids[-1] + 1)[:, None] == ids).astype(
        attention.weights.dtype
    )
    first = pieces.argmax(axis=-1)
    mean = pieces / pieces.sum(axis=-1, keepdims=True)
    return replace(
        attention,
        tokens=tuple(
            "".join(
                piece(attention, position)
                for position in np.flatnonzero(row)
            )
            for row in pieces
        ),
        weights=mean @ attention.weights @ pieces.T,
        special=attention.special[first],
        segments=attention.segments[first],
        rows=f"{attention.rows}; {JOINED}",
        queries=None,
        keys=None,
        values=None,
        outputs=None,
    )


def piece(attention: Attention, position: int) -> str:
    """A token as it stands in a word: without ##, a sign as a space."""
    token = attention.tokens[position]
    if not marks_spaces(attention):
        return token.removeprefix("##")
    return f" {token[1:]}" if token.startswith(SPACES) else token
