"""Word tokenizer: split, look up, and say when a word is unknown.

The first tokenizer one would write. It forgets the white space, keeps
what it has no rule for (curly quotes, long dashes) with the word beside
it, and turns a word that its vocabulary lacks into `<|unk|>`.
"""

import re

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from .checked import checked

UNKNOWN = "<|unk|>"
END_OF_TEXT = "<|endoftext|>"
SPECIAL_TOKENS = (END_OF_TEXT, UNKNOWN)

SEPARATOR = re.compile(
    r"""(<\|endoftext\|>|<\|unk\|>|[,.:;?_!"()']|--|\s)"""
)
SPACE_BEFORE_PUNCTUATION = re.compile(r"""\s+([,.:;?!"()'])""")


@checked
def split_words(text: str) -> list[str]:
    """Split into words, punctuation and double dashes; drop white space.

    >>> split_words("Well!--he said")
    ['Well', '!', '--', 'he', 'said']
    """
    pieces = SEPARATOR.split(text)
    tokens = [piece for piece in pieces if piece and not piece.isspace()]
    return tokens


def build_vocabulary(tokens: list[str]) -> dict[str, int]:
    """Vocabulary: an id for each distinct token, sorted; the specials last.

    >>> build_vocabulary(["the", "cat", "the"])
    {'cat': 0, 'the': 1, '<|endoftext|>': 2, '<|unk|>': 3}
    """
    ordinary = sorted(set(tokens) - set(SPECIAL_TOKENS))
    known = [*ordinary, *SPECIAL_TOKENS]
    vocabulary = {token: index for index, token in enumerate(known)}
    return vocabulary


@checked
def encode(
    text: str,
    vocabulary: dict[str, int],
) -> Int[Array, " token"]:
    """Encode: the id of each token; of an unknown one, that of `<|unk|>`.

    Raises ValueError when the vocabulary knows no `<|unk|>`.
    """
    _check_has_unknown(vocabulary)
    tokens = split_words(text)
    unknown = vocabulary[UNKNOWN]
    numbers = [vocabulary.get(token, unknown) for token in tokens]
    ids = np.array(numbers, dtype=np.int64)
    return ids


@checked
def decode(
    ids: Int[Array, " token"],
    vocabulary: dict[str, int],
) -> str:
    """Decode: tokens with a space between, but none before punctuation.

    Encoding that again gives the same ids. The text itself may differ:
    in its white space, and in each word that was unknown. Raises
    ValueError for an id that no token has.
    """
    known = {index: token for token, index in vocabulary.items()}
    _check_known(ids.tolist(), known)
    spaced = " ".join([known[index] for index in ids.tolist()])
    text = SPACE_BEFORE_PUNCTUATION.sub(r"\1", spaced)
    return text


def join_texts(texts: list[str]) -> str:
    """Join unrelated texts, with `<|endoftext|>` between them.

    >>> join_texts(["A tea.", "In Rome."])
    'A tea. <|endoftext|> In Rome.'
    """
    joined = f" {END_OF_TEXT} ".join(texts)
    return joined


def _check_has_unknown(vocabulary: dict[str, int]) -> None:
    """Raise ValueError when an unknown word would have no id."""
    if UNKNOWN not in vocabulary:
        raise ValueError(
            f"expected {UNKNOWN} in the vocabulary, "
            f"got {len(vocabulary)} tokens without it"
        )


def _check_known(ids: list[int], known: dict[int, str]) -> None:
    """Raise ValueError for an id that no token has."""
    unknown = [index for index in ids if index not in known]
    if unknown:
        raise ValueError(
            f"expected ids of the {len(known)} tokens, got {unknown[0]}"
        )
