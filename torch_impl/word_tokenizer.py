"""Word tokenizer: split, look up, and say when a word is unknown."""

import re

import torch
from jaxtyping import Int
from torch import Tensor as Array

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
    pieces = SEPARATOR.split(text)
    tokens = [piece for piece in pieces if piece and not piece.isspace()]
    return tokens


def build_vocabulary(tokens: list[str]) -> dict[str, int]:
    ordinary = sorted(set(tokens) - set(SPECIAL_TOKENS))
    known = [*ordinary, *SPECIAL_TOKENS]
    vocabulary = {token: index for index, token in enumerate(known)}
    return vocabulary


@checked
def encode(
    text: str,
    vocabulary: dict[str, int],
) -> Int[Array, " token"]:
    _check_has_unknown(vocabulary)
    tokens = split_words(text)
    unknown = vocabulary[UNKNOWN]
    numbers = [vocabulary.get(token, unknown) for token in tokens]
    ids = torch.tensor(numbers, dtype=torch.int64)
    return ids


@checked
def decode(
    ids: Int[Array, " token"],
    vocabulary: dict[str, int],
) -> str:
    known = {index: token for token, index in vocabulary.items()}
    _check_known(ids.tolist(), known)
    spaced = " ".join([known[index] for index in ids.tolist()])
    text = SPACE_BEFORE_PUNCTUATION.sub(r"\1", spaced)
    return text


def join_texts(texts: list[str]) -> str:
    joined = f" {END_OF_TEXT} ".join(texts)
    return joined


def _check_has_unknown(vocabulary: dict[str, int]) -> None:
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
