"""Word pieces joined into words.

The weight of a word as a key is the sum over its pieces, and that of a
word as a query the mean over them; so rows still sum to 1. (Clark and
others 2019, section 4.1)
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from .attention import Attention

JOINED = "word pieces joined into words"


def word_numbers(attention: Attention) -> Int[Array, " token"]:
    """For each token the number of its word, from 0.

    A BERT's piece goes on with a word when it begins with ##; a GPT-2's
    token when it does not begin with a space. Special tokens are words
    of their own.
    """
    after_special = np.append(True, attention.special[:-1])
    begins = [
        alone or not goes_on(attention, token)
        for token, alone in zip(
            attention.tokens, attention.special | after_special, strict=True
        )
    ]
    return np.cumsum(begins) - 1


def goes_on(attention: Attention, token: str) -> bool:
    if attention.causal:
        return not token[:1].isspace()
    return token.startswith("##")


def joined(attention: Attention) -> Attention:
    """The same with words for tokens; only the weights are left of it."""
    number = word_numbers(attention)
    pieces = (np.arange(number[-1] + 1)[:, None] == number).astype(
        attention.weights.dtype
    )
    first = pieces.argmax(axis=-1)
    mean = pieces / pieces.sum(axis=-1, keepdims=True)
    return replace(
        attention,
        tokens=tuple(
            "".join(
                piece(attention, place) for place in np.flatnonzero(row)
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


def piece(attention: Attention, place: int) -> str:
    token = attention.tokens[place]
    return token if attention.causal else token.removeprefix("##")
