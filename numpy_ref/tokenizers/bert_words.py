"""BERT's words: a text cleaned, and split at spaces and punctuation.

What comes before WordPiece (Devlin et al. 2019, "basic tokenization" in
their code). Every character keeps its place in the text, so that a token
can be found there again.

Which characters are accents, controls and so on is asked of Python's
`unicodedata`. Other libraries bring older or newer tables and differ in
some hundred rare characters; the tests count them in each run.
"""

import unicodedata
from collections.abc import Callable
from functools import cache, partial
from itertools import groupby
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


class Placed(NamedTuple):
    """Text, with the place in the original of each of its characters."""

    text: str
    places: list[int]


def basic_tokens(
    text: str, lowercase: bool, begin: int = 0
) -> list[Placed]:
    """The words of a text; a punctuation mark is one by itself.

    `begin` is the place of the text's first character.

    >>> [word.text for word in basic_tokens("Élan, he said", True)]
    ['elan', ',', 'he', 'said']
    """
    cleaned, places = clean_text(text, lowercase, begin)
    runs = groupby(range(len(cleaned)), partial(run_of, cleaned))
    words = [list(run) for kind, run in runs if kind != "space"]
    spans = [slice(word[0], word[-1] + 1) for word in words]
    return [Placed(cleaned[span], places[span]) for span in spans]


def run_of(text: str, index: int) -> str | int:
    """Alike for neighbours in a word, different for any two marks."""
    if text[index] == " ":
        return "space"
    return index if is_punctuation(text[index]) else "word"


def clean_text(text: str, lowercase: bool, begin: int = 0) -> Placed:
    """A text without controls, each Chinese character a word of its own.

    With `lowercase`, accents go and capitals become small letters.
    """
    cleaned = rewrite(
        Placed(text, list(range(begin, begin + len(text)))), clean
    )
    if lowercase:
        return rewrite(without_accents(cleaned), str.lower)
    return cleaned


def rewrite(placed: Placed, change: Callable[[str], str]) -> Placed:
    """Each character changed: into none, one or several."""
    changed = [change(character) for character in placed.text]
    places = [
        place
        for place, new in zip(placed.places, changed, strict=True)
        for _ in new
    ]
    return Placed("".join(changed), places)


@cache
def clean(character: str) -> str:
    """Controls go, white space is a space, Chinese has spaces around it.

    >>> clean("a"), clean("\\0"), clean("\\t"), clean("中")
    ('a', '', ' ', ' 中 ')
    """
    category = unicodedata.category(character)
    if character in "\t\n\r" or category in SPACES:
        return " "
    if character == "\ufffd" or category in CONTROLS:
        return ""
    return f" {character} " if is_chinese(character) else character


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
