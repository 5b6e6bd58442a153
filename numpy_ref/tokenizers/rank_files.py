"""Vocabularies in tiktoken's text format: a token in base64, its rank.

    IQ== 0
    Ig== 1

One line for each token but the special ones, in order of rank.
"""

from base64 import b64decode, b64encode
from pathlib import Path

from jaxtyping import Int
from numpy import ndarray as Array

from ..checked import checked
from ..files import read_lines, write_whole
from .bpe_vocabulary import merged_tokens, merges_of_tokens


@checked
def save_ranks(merges: Int[Array, "merge 2"], path: str | Path) -> None:
    """Write a vocabulary, wholly or not at all."""
    lines = [
        b64encode(token) + b" %d\n" % rank
        for rank, token in enumerate(merged_tokens(merges))
    ]
    write_whole(Path(path), b"".join(lines))


def load_ranks(
    path: str | Path,
    sha256: str | None = None,
) -> Int[Array, "merge 2"]:
    """The merges of a vocabulary that `save_ranks` or tiktoken wrote.

    Raises ValueError for a file that is cut off, has a token or a rank
    twice or no training could give, and for another hash than `sha256`.
    A file cut off between two lines is a smaller vocabulary: only its
    hash can tell.
    """
    return merges_of_tokens(rank_tokens(path, sha256))


def rank_tokens(path: str | Path, sha256: str | None = None) -> list[bytes]:
    """The tokens of a vocabulary in order of rank."""
    lines = read_lines(path, sha256)
    return [parse_line(line, rank) for rank, line in enumerate(lines)]


def parse_line(line: bytes, rank: int) -> bytes:
    """The token of a line, whose rank must be `rank`.

    >>> parse_line(b"bG93 257", 257)
    b'low'
    """
    encoded, _, number = line.partition(b" ")
    try:
        token = b64decode(encoded, validate=True)
    except ValueError:
        token = b""
    if not token or number != b"%d" % rank:
        raise ValueError(
            f"expected a token in base64 and its rank, {rank}, got {line}"
        )
    return token
