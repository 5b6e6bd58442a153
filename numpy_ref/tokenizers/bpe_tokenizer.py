"""GPT-2's byte-level BPE: text to ids, and back without any loss.

Any text has ids, because any text is bytes: no token is ever unknown
(Radford et al. 2019, section 2.2). A special token is a sign and not a
text; it counts only where the caller says so, because a text that came
from somewhere else could contain its letters.
"""

from array import array
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from ..checked import check_indices, checked
from .bpe_vocabulary import check_merges, merged_tokens, rank_of_pairs
from .fast_merging import fast_byte_ids, fast_merge_all
from .pretokens import blocks, boundaries
from .special_tokens import (
    Specials,
    any_of,
    check_different,
    check_has_none,
    named,
)

MOST_CACHED = 2**16  # pre-tokens
LONGEST_CACHED = 64  # characters


class BytePairTokenizer:
    """GPT-2's tokenizer: ids of 256 bytes, then merges, then specials.

    `tokens` are the bytes of each id. With the specials' ids in
    `special_tokens` and all others' in `mergeable_ranks`,
    `tiktoken.Encoding` gives the same ids.

    Raises ValueError for a merge of ids that do not come before it, and
    for a special token that is empty or comes twice.

    >>> tokenizer = BytePairTokenizer(np.array([[64, 64], [256, 65]]))
    >>> tokenizer.encode("aaab aab")
    array([256,  64,  65, 220, 257])
    """

    @checked
    def __init__(
        self,
        merges: Int[Array, "merge 2"],
        special_tokens: tuple[str, ...] = (),
    ):
        check_merges(merges)
        check_different(special_tokens)
        ordinary = merged_tokens(merges)
        self.merges = merges
        self.tokens = [*ordinary, *map(str.encode, special_tokens)]
        self.mergeable_ranks = {
            token: rank for rank, token in enumerate(ordinary)
        }
        self.special_tokens = {
            token: index
            for index, token in enumerate(special_tokens, len(ordinary))
        }
        self._ranks = rank_of_pairs(merges)
        self._seen = PretokenCache(self._encode_pretoken)

    @checked
    def encode(
        self,
        text: str,
        allowed_special: Specials = (),
        disallowed_special: Specials = "all",
    ) -> Int[Array, " token"]:
        """The ids of a text.

        A special token that is in `allowed_special` gets its id. One in
        `disallowed_special` raises ValueError; "all" are those that are
        not allowed. One in neither is text like any other. A lone
        surrogate raises ValueError, too: no bytes can encode it.
        """
        known = set(self.special_tokens)
        allowed = known & named(allowed_special, known)
        check_has_none(text, named(disallowed_special, known - allowed))
        # Split at a group gives text and special token by turns.
        parts = any_of(allowed).split(text) if allowed else [text]
        ids = [b""] * len(parts)
        ids[::2] = map(self._encode_stretch, parts[::2])
        ids[1::2] = map(self._encode_special, parts[1::2])
        return np.frombuffer(bytearray().join(ids), dtype=np.int64)

    def encode_ordinary(self, text: str) -> Int[Array, " token"]:
        """The ids of a text in which no special token counts as one."""
        return self.encode(text, disallowed_special=())

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

    def _encode_stretch(self, text: str) -> bytes:
        """The ids of a text without special tokens, as bytes."""
        return b"".join(map(self._encode_block, blocks(text)))

    def _encode_block(self, block: str) -> bytes:
        seen, places = self._seen, boundaries(block).tolist()
        return b"".join(
            [seen[block[begin:end]] for begin, end in pairwise(places)]
        )

    def _encode_special(self, token: str) -> bytes:
        return id_bytes([self.special_tokens[token]])

    def _encode_pretoken(self, piece: str) -> bytes:
        data = piece.encode()
        # A token's own bytes encode to it, so it need not be merged.
        if data in self.mergeable_ranks:
            return id_bytes([self.mergeable_ranks[data]])
        return id_bytes(fast_merge_all(fast_byte_ids(data), self._ranks))


class PretokenCache(dict):
    """Cache: what `encode` gives for a pre-token, kept for the next time.

    Bounded: nothing long is kept, and a full cache begins anew.
    """

    def __init__(self, encode: Callable[[str], bytes]):
        self.encode = encode

    def __missing__(self, piece: str) -> bytes:
        ids = self.encode(piece)
        if len(self) >= MOST_CACHED:
            self.clear()
        if len(piece) <= LONGEST_CACHED:
            self[piece] = ids
        return ids


def id_bytes(ids: list[int]) -> bytes:
    """Ids as 8 bytes each, because short arrays join fastest so."""
    return array("q", ids).tobytes()


def check_is_text(data: bytes) -> None:
    """Raise ValueError unless the bytes are UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            "expected ids of whole characters, "
            f"got a broken one at byte {error.start}"
        ) from None
