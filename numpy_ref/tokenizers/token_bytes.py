"""Decoding: the bytes of each id, joined, are the text.

What any byte-level tokenizer can do, whoever merges its tokens.
"""

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from ..checked import check_indices, checked


class TokenBytes:
    """Decoding by a table: `tokens` are the bytes of each id.

    `about` says where the vocabulary comes from, where that is known.
    """

    tokens: list[bytes]
    about: str = ""

    @checked
    def decode(self, ids: Int[Array, " token"]) -> str:
        """The text of ids, U+FFFD in the place of a broken character.

        Ids cut out of a longer text may begin inside a character. Raises
        ValueError for an id outside the vocabulary.
        """
        return self.decode_bytes(ids).decode(errors="replace")

    @checked
    def decode_bytes(self, ids: Int[Array, " token"]) -> bytes:
        """The bytes of ids, lossless.

        Raises ValueError for an id outside the vocabulary.
        """
        check_indices("ids", ids, len(self.tokens))
        return b"".join([self.tokens[index] for index in ids.tolist()])

    @checked
    def spans(self, ids: Int[Array, " token"]) -> Int[Array, "token 2"]:
        """Where each token begins in the text, and where it ends.

        Counted in characters. A token of some of a character's bytes
        spans the whole character, as do its neighbours with the rest.
        Raises ValueError for an id outside the vocabulary, and for ids
        whose bytes are not a text.
        """
        data = self.decode_bytes(ids)
        check_is_text(data)
        # 10xxxxxx continues a character; any other byte begins one.
        begins = np.frombuffer(data, dtype=np.uint8) & 0xC0 != 0x80
        character = np.cumsum(begins) - 1
        lengths = [len(self.tokens[index]) for index in ids.tolist()]
        sizes = np.array(lengths, dtype=np.int64)
        ends = np.cumsum(sizes)
        first, last = character[ends - sizes], character[ends - 1]
        return np.stack([first, last + 1], axis=1)


def check_is_text(data: bytes) -> None:
    """Raise ValueError unless the bytes are UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            "expected ids of whole characters, "
            f"got a broken one at byte {error.start}"
        ) from None
