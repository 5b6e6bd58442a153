"""Tokenizers of other kinds, run by Hugging Face's `tokenizers`.

For what our own do not honour: the unigrams of ALBERT, RoBERTa's bytes,
or a WordPiece with rules of its own. What goes in and what comes out is
as with `WordPieceTokenizer`.
"""

import json
from itertools import accumulate

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
        self._tokenizer = run_by_library(entries)
        self.kind = entries["model"].get("type") or "WordPiece"
        self.vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        added = self._tokenizer.get_added_tokens_decoder()
        # By the name that `encode` gives: one may be looked for in lower
        # case, say.
        self.special_tokens = {
            self._tokenizer.id_to_token(index)
            for index, token in added.items()
            if token.special
        }
        unknown = entries["model"].get("unk_token") or names.unknown
        masks = [m for m in (names.mask, "<mask>") if m in self.vocabulary]
        mask = masks[0] if masks else names.mask
        self.names = names._replace(unknown=unknown, mask=mask)

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
            segments=np.array(segments_of(encoding), np.int64),
            spans=np.array(encoding.offsets, np.int64).reshape(-1, 2),
        )


def run_by_library(entries: dict):
    """A `tokenizers.Tokenizer` that neither cuts nor pads a text.

    Raises ValueError for entries that it refuses.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(json.dumps(entries))
    except Exception as error:  # the library raises no narrower one
        raise ValueError(
            "expected a tokenizer.json that tokenizers can read, "
            f"got {error}"
        ) from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def segments_of(encoding) -> list[int]:
    """Which text each token belongs to: as the template says it.

    RoBERTa's gives all the same number. There, a special token belongs to
    the text before it.
    """
    if any(encoding.type_ids):
        return encoding.type_ids
    texts = [0 if text is None else text for text in encoding.sequence_ids]
    return list(accumulate(texts, max))
