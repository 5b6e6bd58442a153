"""Vocabularies in GPT-2's text format: `vocab.json` and `merges.txt`.

    {"!": 0, ..., "low": 257}       #version: 0.2
                                    l o
                                    lo w

Every byte has a letter: its own where that prints, else one from U+0100
on, so that a space is Ġ. The lines of `merges.txt` stand in order of
rank; the ids of `vocab.json` may stand in any.
"""

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from ..byte_pair_encoding import BYTE_ORDER, PRINTABLE

Pairs = list[tuple[str, str]]


def byte_letters() -> list[str]:
    """The letter of each byte, in GPT-2's order."""
    unprinted = range(256, 512 - len(PRINTABLE))
    return [chr(letter) for letter in (*PRINTABLE, *unprinted)]


LETTER_OF_BYTE = dict(zip(BYTE_ORDER, byte_letters(), strict=True))
BYTE_OF_LETTER = {ord(k): v for v, k in LETTER_OF_BYTE.items()}
LETTERS = frozenset(byte_letters())


def letters_of(token: bytes) -> str:
    """A token as these files spell it.

    >>> letters_of(" né".encode())
    'ĠnÃ©'
    """
    return token.decode("latin-1").translate(LETTER_OF_BYTE)


def bytes_of(spelled: str) -> bytes:
    """The bytes of a token that is spelled so.

    One with any other character, such as an added token with a space,
    stands for its own text.

    >>> bytes_of("ĠnÃ©").decode(), bytes_of("a b")
    (' né', b'a b')
    """
    if LETTERS.issuperset(spelled):
        return spelled.translate(BYTE_OF_LETTER).encode("latin-1")
    return spelled.encode()


def parse_merges(text: str) -> Int[Array, "merge 2"]:
    """The merges of a `merges.txt`, also known as `vocab.bpe`.

    >>> parse_merges("#version: 0.2\\nl o\\nlo w\\n")
    array([[ 75,  78],
           [256,  86]])
    """
    return merge_ids(merge_pairs(text))


def merge_pairs(text: str) -> Pairs:
    """The pairs of a `merges.txt`, in order of rank.

    Raises ValueError for a line that is no pair.
    """
    lines = text.removeprefix("\ufeff").rstrip("\r\n").split("\n")
    numbered = [
        (number, line.removesuffix("\r"))
        for number, line in enumerate(lines, 1)
        if not line.startswith("#version")
    ]
    if numbered == [(1, "")]:
        return []
    return [pair_of(line, number) for number, line in numbered]


def pair_of(line: str, number: int) -> tuple[str, str]:
    left, _, right = line.partition(" ")
    if not left or not right or " " in right:
        raise ValueError(
            f"expected two tokens and a space between in line {number} of "
            f"the merges, got {line!r}"
        )
    return left, right


def merge_ids(pairs: Pairs) -> Int[Array, "merge 2"]:
    """Pairs of letters as pairs of ids, which are ranks.

    Raises ValueError for a merge of what does not come before it, and
    for a second merge that makes the same token.
    """
    ids = {letter: index for index, letter in enumerate(byte_letters())}
    merges = []
    for rank, (left, right) in enumerate(pairs, 256):
        if left not in ids or right not in ids:
            part = right if left in ids else left
            raise ValueError(
                f"expected merge {rank - 256} to be of bytes and of "
                f"merges before it, got {part!r}"
            )
        token = left + right
        if token in ids:
            raise ValueError(
                f"expected one merge for each token, got {token!r} "
                f"again in merge {rank - 256}"
            )
        merges.append((ids[left], ids[right]))
        ids[token] = rank
    return np.array(merges, dtype=np.int64).reshape(-1, 2)
