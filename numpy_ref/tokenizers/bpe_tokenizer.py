"""GPT-2's byte-level BPE: text to ids, and back without any loss.

Any text has ids, because any text is bytes: no token is ever unknown
(Radford et al. 2019, section 2.2). A special token is a sign and not a
text. Whoever types one means it, so `encode` takes it as that token, as
transformers does; `encode_ordinary` takes its letters as letters, which
is right for a corpus that came from somewhere else.
"""

from array import array
from collections.abc import Callable
from itertools import pairwise, starmap

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from ..checked import checked
from .added_tokens import AddedToken
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
from .token_bytes import TokenBytes

Split = Callable[[str], Array]  # a text's boundaries

MOST_CACHED = 2**16  # pre-tokens
LONGEST_CACHED = 64  # characters


class BytePairTokenizer(TokenBytes):
    """GPT-2's tokenizer: ids of 256 bytes, then merges, then specials.

    `tokens` are the bytes of each id. With the specials' ids in
    `special_tokens` and all others' in `mergeable_ranks`,
    `tiktoken.Encoding` gives the same ids for merges that were learned.

    `split` says where the pre-tokens begin (`pretokens`). Bytes that are
    `absent` have no token: they are left out before anything is merged,
    as in Hugging Face's `tokenizers`.

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
        split: Split = boundaries,
        absent: bytes = b"",
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
        self.added = tuple(starmap(AddedToken, self.special_tokens.items()))
        self._ranks = rank_of_pairs(merges)
        self._split, self._absent = split, absent
        self._seen = PretokenCache(self._encode_pretoken)

    @checked
    def encode(
        self,
        text: str,
        allowed_special: Specials = "all",
        disallowed_special: Specials = "all",
    ) -> Int[Array, " token"]:
        """The ids of a text.

        A special token that is in `allowed_special` gets its id. One in
        `disallowed_special` raises ValueError; "all" are those that are
        not allowed. So `allowed_special=()` is the strict way, tiktoken's
        default: no special token may stand in the text. One in neither
        is text like any other. A lone surrogate raises ValueError, too:
        no bytes can encode it.
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
        return self.encode(text, (), ())

    def _encode_stretch(self, text: str) -> bytes:
        """The ids of a text without special tokens, as bytes."""
        return b"".join(map(self._encode_block, blocks(text)))

    def _encode_block(self, block: str) -> bytes:
        seen, places = self._seen, self._split(block).tolist()
        return b"".join(
            [seen[block[begin:end]] for begin, end in pairwise(places)]
        )

    def _encode_special(self, token: str) -> bytes:
        return id_bytes([self.special_tokens[token]])

    def _encode_pretoken(self, piece: str) -> bytes:
        data = piece.encode().translate(None, self._absent)
        ids = fast_byte_ids(data)
        return id_bytes(fast_merge_all(ids, self._ranks))


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
