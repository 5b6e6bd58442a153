"""Added tokens: texts that stay whole, whatever the vocabulary would do.

Special tokens, which are signs to a model, and words that a user added to
a vocabulary. One that is `normalized` is looked for in the clean text
(in lower case, say), any other in the text as it was typed.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from .bert_words import Normalization, Placed, clean_text
from .pretokens import blocks
from .special_tokens import any_of


class AddedToken(NamedTuple):
    """An added token, its id, and how it is looked for.

    `lstrip` and `rstrip` take the white space before and after it along
    (`added_splits`).
    """

    content: str
    index: int
    normalized: bool = False
    special: bool = True
    lstrip: bool = False
    rstrip: bool = False


class AddedTokens:
    """Added tokens of a tokenizer: a text is parted at them.

    A token that is looked for in the clean text is called as it stands
    there. `ids` and `special` go by these names.

    >>> added = [AddedToken("[X]", 7), AddedToken("Graft", 8, True, False)]
    >>> tokens = AddedTokens(added, Normalization())
    >>> [(part.text, whole) for part, whole in tokens.part("A Graft[X]")]
    [('a ', False), ('graft', True), ('[X]', True)]
    """

    def __init__(
        self, added: Collection[AddedToken], normalization: Normalization
    ):
        names = {
            token: clean_text(token.content, normalization).text
            if token.normalized
            else token.content
            for token in added
        }
        self.normalization = normalization
        self.ids = {name: token.index for token, name in names.items()}
        self.special = {
            name for token, name in names.items() if token.special
        }
        self._clean = [
            name for token, name in names.items() if token.normalized
        ]
        self._typed = [
            name for token, name in names.items() if not token.normalized
        ]

    def part(self, text: str) -> Iterator[tuple[Placed, bool]]:
        """The clean text in parts, each with whether it is one token."""
        typed = Placed(text, range(len(text)))
        for stretch, whole in part_at(self._typed, typed):
            if whole:
                yield stretch, True
                continue
            # A token with a space in it could stand across a cut.
            pieces = [stretch.text] if self._clean else blocks(stretch.text)
            begin = stretch.places[0]
            for piece in pieces:
                cleaned = clean_text(piece, self.normalization, begin)
                yield from part_at(self._clean, cleaned)
                begin += len(piece)


def part_at(
    tokens: Collection[str], text: Placed
) -> Iterator[tuple[Placed, bool]]:
    """A text parted at some tokens; whether each part is one of them.

    Where two of them begin, the longer is meant. No part is empty.
    """
    begin = 0
    for match in any_of(tokens).finditer(text.text) if tokens else ():
        if begin < match.start():
            yield text.part(begin, match.start()), False
        yield text.part(*match.span()), True
        begin = match.end()
    if begin < len(text.text):
        yield text.part(begin, len(text.text)), False
