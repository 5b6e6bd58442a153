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


def word_ids(attention: Attention) -> Int[Array, " token"]:
    """Word ids: for each token the index of its word.

    A BERT's piece continues a word when it begins with ##; a GPT-2's
    token when it does not begin with a space. Special tokens are words
    of their own.
    """
    after_special = np.append(True, attention.special[:-1])
    begins = [
        alone or not continues(attention, token)
        for token, alone in zip(
            attention.tokens, attention.special | after_special, strict=True
        )
    ]
    return np.cumsum(begins) - 1


def continues(attention: Attention, token: str) -> bool:
    if attention.causal:
        return not token[:1].isspace()
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
    token = attention.tokens[position]
    return token if attention.causal else token.removeprefix("##")
