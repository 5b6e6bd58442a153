"""Vocabularies in tiktoken's text format: a token in base64, its rank.

    IQ== 0
    Ig== 1

One line for each token but the special ones, in order of rank.
"""

import hashlib
import os
from base64 import b64decode, b64encode
from pathlib import Path

from jaxtyping import Int
from numpy import ndarray as Array

from .bpe_vocabulary import merged_tokens, merges_of_tokens
from .checked import checked


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
    lines = read_lines(path, sha256)
    return merges_of_tokens(
        [parse_line(line, rank) for rank, line in enumerate(lines)]
    )


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


def read_lines(path: str | Path, sha256: str | None) -> list[bytes]:
    """The lines of a file that is whole, as far as one can see.

    Raises ValueError for a last line without its end, and for another
    hash than `sha256`.
    """
    data = Path(path).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if sha256 not in (None, found):
        raise ValueError(
            f"expected {path} to have the sha256 {sha256}, got {found}"
        )
    if not data.endswith(b"\n"):
        raise ValueError(
            f"expected {path} to end with a line break, "
            f"got {data[-20:]}: it was cut off"
        )
    return data.split(b"\n")[:-1]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever finds a part of it."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
