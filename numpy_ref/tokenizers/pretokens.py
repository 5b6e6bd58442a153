r"""Pre-tokens: the pieces of a text that no merge may cross.

GPT-2 splits by the pattern PATTERN (Radford et al. 2019, section 2.2):
a contraction; letters, numbers or other characters, with the space
before them; white space. Only the last space before a word goes to the
word. Here the same split is made by array operations on the kinds of all
characters, which takes a tenth of the time.

`regex.findall(PATTERN, text)` gives the same pieces as long as `regex`
has the same letters; which they are changes with every Unicode.

StarCoder and SmolLM cut each digit out first (`digit_boundaries`).

>>> split("I'd say:  no!")
['I', "'d", ' say', ':', ' ', ' no', '!']
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int, UInt8, UInt32
from numpy import ndarray as Array

from .unicode_classes import LETTERS, NUMBERS, WHITE_SPACE

PATTERN = (
    r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?!\S)|\s+"
)

OTHER, LETTER, NUMBER, WHITE, SPACE = range(5)
NO_KIND = 255

# White space after something else begins a pre-token whatever surrounds
# it, so a text can be cut there. (`re` knows some more white space.)
SAFE_CUT = re.compile(r"(?<=\S)[ \n]")
BLOCK = 2**16  # characters; their arrays fit into a processor's cache


def split(text: str) -> list[str]:
    """Pre-tokenize: the pieces of a text, which joined give it again.

    Raises ValueError for a lone surrogate.
    """
    return [piece for block in blocks(text) for piece in pieces(block)]


def pieces(block: str) -> list[str]:
    """The pre-tokens of a text, split all at once."""
    places = boundaries(block).tolist()
    return [block[begin:end] for begin, end in pairwise(places)]


def blocks(text: str) -> Iterator[str]:
    """A text in parts of about BLOCK characters, cut between pre-tokens.

    Raises ValueError for a lone surrogate.
    """
    check_can_be_bytes(text)
    begin = 0
    while begin < len(text):
        cut = SAFE_CUT.search(text, begin + BLOCK)
        end = cut.start() if cut else len(text)
        yield text[begin:end]
        begin = end


def boundaries(text: str, alone: int = NO_KIND) -> Int[Array, " boundary"]:
    """Where the pre-tokens begin, and where the last one ends.

    Each character of the kind `alone` is cut out before.
    """
    codes = code_points(text)
    begins = run_begins(kind_table()[codes], alone)
    return np.flatnonzero(part_contractions(codes, begins))


def digit_boundaries(text: str) -> Int[Array, " boundary"]:
    """As `boundaries`, once each number has been cut out of the text.

    So a number has no space, and the white space before one stays whole.

    >>> digit_boundaries("in  24 h").tolist()  # in, two spaces, 2, 4, h
    [0, 2, 4, 5, 6, 8]
    """
    return boundaries(text, alone=NUMBER)


def code_points(text: str) -> UInt32[Array, " character"]:
    """The number of each character."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


@cache
def kind_table() -> UInt8[Array, " code_point"]:
    """The kind of every code point there is: LETTER, NUMBER, ..."""
    table = np.full(0x110000, OTHER, dtype=np.uint8)
    for kind, ranges in (
        (LETTER, LETTERS),
        (NUMBER, NUMBERS),
        (WHITE, WHITE_SPACE),
    ):
        for first, last in map(code_range, ranges.split()):
            table[first : last + 1] = kind
    table[ord(" ")] = SPACE
    return table


def code_range(hexadecimal: str) -> tuple[int, int]:
    """The first and the last code point of a range.

    >>> code_range("41-5a"), code_range("20")
    ((65, 90), (32, 32))
    """
    first, _, last = hexadecimal.partition("-")
    return int(first, 16), int(last or first, 16)


def run_begins(
    kinds: UInt8[Array, " character"], alone: int = NO_KIND
) -> Bool[Array, " character+1"]:
    """Whether a pre-token begins at each place, contractions left aside.

    It does where the kind changes, and at the last white character
    before something else; but not after a space, which goes with it.
    What stands `alone` begins each time, and takes no space along.
    """
    before, after = kinds[:-1], kinds[1:]
    changes = np.minimum(before, WHITE) != np.minimum(after, WHITE)
    changes |= after == alone
    takes_space = (after < WHITE) & (after != alone)
    follows_space = (before == SPACE) & takes_space
    last_white = (before >= WHITE) & takes_space
    begins = np.ones(len(kinds) + 1, dtype=bool)
    begins[1:-1] = changes & ~follows_space
    begins[:-2] |= last_white
    return begins


def part_contractions(
    codes: UInt32[Array, " character"],
    begins: Bool[Array, " character+1"],
) -> Bool[Array, " character+1"]:
    """Contractions: 's 't 'm 'd 'll 've 're as pre-tokens of their own.

    Only an apostrophe that begins a pre-token begins a contraction.
    """
    quotes = np.flatnonzero((codes == ord("'")) & begins[:-1])
    padded = np.concatenate([codes, np.zeros(2, codes.dtype)])
    first, second = padded[quotes + 1], padded[quotes + 2]
    short = quotes[is_in(first, "stmd")]
    long = quotes[
        (is_in(first, "l") & is_in(second, "l"))
        | (is_in(first, "vr") & is_in(second, "e"))
    ]
    parted = begins.copy()
    parted[np.concatenate([short, long]) + 1] = False
    parted[np.concatenate([short + 2, long + 3])] = True
    return parted


def is_in(
    codes: UInt32[Array, " character"],
    letters: str,
) -> Bool[Array, " character"]:
    """Which characters are one of `letters`."""
    return np.isin(codes, [ord(letter) for letter in letters])


def check_can_be_bytes(text: str) -> None:
    """Raise ValueError for half a surrogate pair, which is no character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            "expected a text without lone surrogates, "
            f"got {text[error.start]!r} at {error.start}"
        ) from None
