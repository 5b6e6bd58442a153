"""BERT's words: a text cleaned, and split at spaces and punctuation.

What comes before WordPiece (Devlin et al. 2019, "basic tokenization" in
their code). Every character keeps its place in the text, so that a token
can be found there again.

Which characters are accents, controls and so on is asked of Python's
`unicodedata`. Other libraries bring older or newer tables and differ in
some hundred rare characters; the tests count them in each run. It is asked
once for each character that a text has, however often it stands there.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

# As in Hugging Face's tokenizers; Devlin's sixth range begins at 2b820.
CHINESE = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)

# General categories of Unicode. A tab and a line break are controls, but
# count as spaces; U+FFFD stands for a broken character.
SPACES = ("Zs", "Zl", "Zp")
CONTROLS = ("Cc", "Cf", "Co")


class Normalization(NamedTuple):
    """Normalization: what becomes of a text before it is split.

    Accents are stripped where `strip_accents` says so, or, where it says
    nothing, with the capitals. With `split_chinese`, each Chinese
    character is a word.
    """

    lowercase: bool = True
    strip_accents: bool | None = None
    split_chinese: bool = True

    @property
    def strips_accents(self) -> bool:
        if self.strip_accents is None:
            return self.lowercase
        return self.strip_accents


WORD_OR_MARK = re.compile("w+|m")  # in the kinds of a text's characters

UNCASED, CASED = Normalization(), Normalization(lowercase=False)


class Placed(NamedTuple):
    """Text, with the place in the original of each of its characters."""

    text: str
    places: Sequence[int]

    def part(self, begin: int, end: int) -> "Placed":
        return Placed(self.text[begin:end], self.places[begin:end])


def basic_tokens(cleaned: Placed) -> Iterator[Placed]:
    """The words of a clean text; a punctuation mark is one by itself.

    >>> cleaned = clean_text("Élan, he said", UNCASED)
    >>> [word.text for word in basic_tokens(cleaned)]
    ['elan', ',', 'he', 'said']
    """
    kinds = translated(cleaned.text, kind_of)
    for match in WORD_OR_MARK.finditer(kinds):
        yield cleaned.part(*match.span())


@cache
def kind_of(character: str) -> str:
    """A letter for what a character is: space, mark, or part of a word.

    >>> kind_of(" "), kind_of(","), kind_of("a")
    ('s', 'm', 'w')
    """
    if character == " ":
        return "s"
    return "m" if is_punctuation(character) else "w"


def clean_text(
    text: str, normalization: Normalization, begin: int = 0
) -> Placed:
    """A text without controls, and as the normalization wants it.

    `begin` is the place of the text's first character.

    >>> clean_text("Élan 中", Normalization(strip_accents=False)).text
    'élan  中 '
    """
    cleaned = rewrite(
        Placed(text, range(begin, begin + len(text))),
        clean_and_space if normalization.split_chinese else clean,
    )
    if normalization.strips_accents:
        cleaned = without_accents(cleaned)
    if normalization.lowercase:
        cleaned = rewrite(cleaned, str.lower)
    return cleaned


def rewrite(placed: Placed, change: Callable[[str], str]) -> Placed:
    """Each character changed: into none, one or several."""
    text, places = placed
    lengths = {character: len(change(character)) for character in set(text)}
    if set(lengths.values()) - {1}:
        places = [
            place
            for place, character in zip(places, text, strict=True)
            for _ in range(lengths[character])
        ]
    return Placed(translated(text, change), places)


def translated(text: str, change: Callable[[str], str]) -> str:
    """Each character changed; `change` is asked once for each of a kind.

    >>> translated("a cat", str.upper)
    'A CAT'
    """
    return text.translate(
        {ord(character): change(character) for character in set(text)}
    )


@cache
def clean(character: str) -> str:
    """Controls go, and white space is a space.

    >>> clean("a"), clean("\\0"), clean("\\t")
    ('a', '', ' ')
    """
    category = unicodedata.category(character)
    if character in "\t\n\r" or category in SPACES:
        return " "
    if character == "\ufffd" or category in CONTROLS:
        return ""
    return character


@cache
def clean_and_space(character: str) -> str:
    """`clean`, and a Chinese character has spaces around it.

    >>> clean_and_space("a"), clean_and_space("中")
    ('a', ' 中 ')
    """
    cleaned = clean(character)
    return f" {cleaned} " if is_chinese(character) else cleaned


def without_accents(placed: Placed) -> Placed:
    """A text without the marks above and below its letters.

    Unicode orders the marks of a letter that is taken apart. A mark that
    stays, as some do, has the place at which it now stands.
    """
    apart = rewrite(placed, taken_apart)
    in_order = Placed(taken_apart(placed.text), apart.places)
    return rewrite(in_order, without_mark)


@cache
def without_mark(character: str) -> str:
    return "" if unicodedata.category(character) == "Mn" else character


def taken_apart(text: str) -> str:
    """A letter and its accents as characters of their own."""
    return unicodedata.normalize("NFD", text)


def is_chinese(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in CHINESE)


@cache
def is_punctuation(character: str) -> bool:
    """As Unicode says, and all of ASCII that is no letter, digit, space."""
    category = unicodedata.category(character)
    symbol = character.isascii() and category.startswith("S")
    return symbol or category.startswith("P")
