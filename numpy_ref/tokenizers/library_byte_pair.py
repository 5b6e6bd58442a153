"""Hugging Face's `tokenizers`, behind the methods of our own tokenizer.

For what a `tokenizer.json` can say and our own byte-level BPE cannot: a
normalizer, another way to split, a template around the text.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from ..checked import checked
from .added_tokens import AddedToken
from .library_tokenizer import run_by_library
from .pretokens import check_can_be_bytes
from .renumbered import special_ids, token_table
from .special_tokens import Specials, check_has_none, named
from .token_bytes import TokenBytes


class LibraryBytePair(TokenBytes):
    """A byte-level BPE that the package `tokenizers` runs.

    `content` is a `tokenizer.json`. A template of special tokens in it
    stands around each text that `encode` gets, and around none that
    `encode_ordinary` gets. Raises ValueError for what the package cannot
    read, and ModuleNotFoundError where it is not installed.
    """

    def __init__(
        self, content: dict, added: Sequence[AddedToken], size: int = 0
    ):
        self._tokenizer = run_by_library(content)
        check_same_ids(self._tokenizer, added)
        self.tokens = token_table(content["model"]["vocab"], added, size)
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

        `allowed_special` is all special tokens or none: the package
        knows nothing between.
        """
        known = set(self.special_tokens)
        allowed = known & named(allowed_special, known)
        check_all_or_none(allowed, known)
        check_has_none(text, named(disallowed_special, known - allowed))
        return self._ids(text, bool(allowed), True)

    @checked
    def encode_ordinary(self, text: str) -> Int[Array, " token"]:
        """The ids of a text alone, in which no special token counts."""
        return self._ids(text, False, False)

    def _ids(self, text: str, special: bool, template: bool) -> Array:
        check_can_be_bytes(text)
        self._tokenizer.encode_special_tokens = not special
        encoded = self._tokenizer.encode(text, add_special_tokens=template)
        return np.array(encoded.ids, dtype=np.int64)


def check_same_ids(tokenizer, added: Sequence[AddedToken]) -> None:
    """Raise ValueError where the package numbers tokens in another way."""
    for token in added:
        index = tokenizer.token_to_id(token.content)
        if index != token.index:
            raise ValueError(
                f"expected the added token {token.content!r} to have the "
                f"id {index}, as `tokenizers` numbers it, got {token.index}"
            )


def check_all_or_none(allowed: set[str], known: set[str]) -> None:
    """Raise ValueError when some special tokens count and others don't."""
    if allowed not in (known, set()):
        raise ValueError(
            'expected allowed_special="all" or () for a tokenizer of '
            f"Hugging Face's tokenizers, got {sorted(allowed)}"
        )
