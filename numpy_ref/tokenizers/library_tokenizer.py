"""Tokenizers of other kinds, run by Hugging Face's `tokenizers`.

For what our own do not honour: the unigrams of ALBERT, RoBERTa's bytes,
or a WordPiece with rules of its own. What goes in and what comes out is
as with `WordPieceTokenizer`.
"""

import json

import numpy as np

from ..checked import check_at_least, checked
from .pretokens import check_can_be_bytes
from .wordpiece import Encoded, SpecialNames


class LibraryTokenizer:
    """A tokenizer of a `tokenizer.json`, by its entries.

    Raises ValueError for entries that the library refuses, in its words,
    and ModuleNotFoundError where it is not installed.
    """

    def __init__(self, entries: dict, names: SpecialNames):
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_str(json.dumps(entries))
        except Exception as error:  # the library raises no other kind
            raise ValueError(
                "expected a tokenizer.json that tokenizers can read, "
                f"got {error}"
            ) from None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        self.special_tokens = {
            token.content
            for token in self._tokenizer.get_added_tokens_decoder().values()
            if token.special
        }
        unknown = entries["model"].get("unk_token") or names.unknown
        self.names = names._replace(unknown=unknown)

    @checked
    def encode(
        self,
        text: str,
        second: str | None = None,
        length: int | None = None,
    ) -> Encoded:
        """The text or the pair in the tokenizer's own template.

        With `length` there are no more tokens than that: the longer text
        loses its end, or both do. Raises ValueError for a length without
        room for the special tokens, and for a lone surrogate.
        """
        check_can_be_bytes(text)
        check_can_be_bytes(second or "")
        if length is not None:
            pair = second is not None
            added = self._tokenizer.num_special_tokens_to_add(pair)
            check_at_least("length", length, added)
            self._tokenizer.enable_truncation(length)
        try:
            encoding = self._tokenizer.encode(text, second)
        finally:
            self._tokenizer.no_truncation()
        return Encoded(
            tokens=[*map(self._tokenizer.id_to_token, encoding.ids)],
            ids=np.array(encoding.ids, np.int64),
            segments=np.array(encoding.type_ids, np.int64),
            spans=np.array(encoding.offsets, np.int64).reshape(-1, 2),
        )
