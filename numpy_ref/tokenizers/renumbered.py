"""BPE with ids of its own: merge by rank, then number by the vocabulary.

The rank of a merge decides which pair is merged first. In GPT-2 it is the
token's id as well; in a vocabulary that somebody else has trained, ids
may stand in any order, the special tokens first, say. So text is merged
to ranks, and a table turns ranks into ids.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from ..checked import checked
from .added_splits import split_at_added
from .added_tokens import AddedToken
from .bpe_tokenizer import BytePairTokenizer, Split
from .bpe_vocabulary import joined
from .merges_files import LETTER_OF_BYTE, byte_letters, bytes_of
from .pretokens import boundaries, check_can_be_bytes
from .special_tokens import Specials, check_has_none, named
from .token_bytes import TokenBytes

NO_ID = -1


class RenumberedTokenizer(TokenBytes):
    """Byte-level BPE whose ids are those of a `vocab.json`.

    `vocabulary` spells bytes as letters (`merges_files`). `tokens` has
    `size` entries at least; an id that no token has is empty there.

    A byte that the vocabulary lacks is left out of every text, as in
    Hugging Face's `tokenizers`; `absent` has all of them. SmolLM2 knows
    235 bytes: no text has a use for 15 of the others, and six are control
    characters.

    Raises ValueError for a vocabulary without a token for each merge and
    what it is made of, and as `token_table` does.

    >>> from numpy_ref.tokenizers.merges_files import byte_letters
    >>> letters = ["<s>", *sorted(byte_letters()), "aa"]
    >>> vocabulary = {token: index for index, token in enumerate(letters)}
    >>> added = [AddedToken("<s>", 0)]
    >>> merges = np.array([[64, 64]])
    >>> tokenizer = RenumberedTokenizer(merges, vocabulary, added)
    >>> tokenizer.encode("<s>aab")
    array([  0, 257,  66])
    """

    def __init__(
        self,
        merges: Int[Array, "merge 2"],
        vocabulary: dict[str, int],
        added: Sequence[AddedToken] = (),
        size: int = 0,
        split: Split = boundaries,
    ):
        self.absent = absent_bytes(vocabulary)
        self._ranked = BytePairTokenizer(
            merges, split=split, absent=self.absent
        )
        spelled = joined(byte_letters(), merges)
        self._id_of_rank = np.array(
            [vocabulary.get(token, NO_ID) for token in spelled]
        )
        check_all_numbered(spelled, merges, self._id_of_rank)
        self.tokens = token_table(vocabulary, added, size)
        self.added = tuple(added)
        self.special_tokens = special_ids(added)

    @checked
    def encode(
        self,
        text: str,
        allowed_special: Specials = "all",
        disallowed_special: Specials = "all",
    ) -> Int[Array, " token"]:
        """The ids of a text, as `BytePairTokenizer.encode` gives them.

        An added token that is not special is one wherever it stands.
        """
        check_can_be_bytes(text)
        known = set(self.special_tokens)
        allowed = known & named(allowed_special, known)
        check_has_none(text, named(disallowed_special, known - allowed))
        tokens = [
            token
            for token in self.added
            if not token.special or token.content in allowed
        ]
        parts = split_at_added(text, tokens)
        rows = [np.empty(0, np.int64), *map(self._encode_part, parts)]
        return np.concatenate(rows)

    def encode_ordinary(self, text: str) -> Int[Array, " token"]:
        """The ids of a text in which no special token counts as one."""
        return self.encode(text, (), ())

    def _encode_part(self, part: str | AddedToken) -> Array:
        if isinstance(part, AddedToken):
            return np.array([part.index])
        return self._id_of_rank[self._ranked.encode_ordinary(part)]


def token_table(
    vocabulary: dict[str, int], added: Sequence[AddedToken], size: int = 0
) -> list[bytes]:
    """The bytes of each id, nothing for an id that no token has.

    Raises ValueError for an id that two tokens share, and for an added
    token that is also the spelling of other bytes.
    """
    owners = {index: spelled for spelled, index in vocabulary.items()}
    for spelled, index in vocabulary.items():
        if owners[index] != spelled:
            raise ValueError(
                "expected a different id for each token, "
                f"got {index} for {spelled!r} and {owners[index]!r}"
            )
    last = max([*owners, *(token.index for token in added)], default=-1)
    table = [b""] * max(size, last + 1)
    for spelled, index in vocabulary.items():
        table[index] = bytes_of(spelled)
    for token in added:
        check_own_bytes(token, table[token.index], owners.get(token.index))
        table[token.index] = token.content.encode()
    return table


def special_ids(added: Sequence[AddedToken]) -> dict[str, int]:
    """The ids of those added tokens that are special."""
    return {token.content: token.index for token in added if token.special}


def check_own_bytes(
    token: AddedToken, data: bytes, owner: str | None
) -> None:
    """Raise ValueError when the id of an added token means other bytes."""
    if data not in (b"", token.content.encode()):
        raise ValueError(
            f"expected the id {token.index} of the added token "
            f"{token.content!r} to mean nothing else, got that of the "
            f"vocabulary's {owner!r}, the bytes {data}"
        )


def absent_bytes(vocabulary: dict[str, int]) -> bytes:
    """The bytes that have no token.

    >>> absent = absent_bytes({"a": 0})
    >>> len(absent), b"a" in absent, b"b" in absent
    (255, False, True)
    """
    letters = LETTER_OF_BYTE.items()
    return bytes(byte for byte, name in letters if name not in vocabulary)


def check_all_numbered(
    spelled: list[str],
    merges: Int[Array, "merge 2"],
    ids: Int[Array, " rank"],
) -> None:
    """Raise ValueError unless what is merged, and into what, has an id."""
    used = np.arange(len(ids)) >= 256
    used[merges] = True
    missing = np.flatnonzero(used & (ids == NO_ID))
    if missing.size:
        raise ValueError(
            "expected an id for each merge and what it is made of, "
            f"got none for {missing.size}, such as {spelled[missing[0]]!r}"
        )
