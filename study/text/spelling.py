"""Encoding error handler: ASCII spellings for what cannot be encoded.

What the stream can encode stays, a character with a spelling gets it, and
the rest is escaped, so that no output ends in a UnicodeEncodeError. And
`shortened` cuts a text that is too long to print.
"""

import codecs

ASCII = {
    "√": "sqrt",
    "ᵀ": "^T",
    "Σ": "sum",
    "Φ": "Phi",
    "≤": "<=",
    "×": "x",
    "…": "...",
    "─": "-",
    "│": "|",
    "·": "*",
}


HANDLER = "ascii_spelling"


def replace_unencodable(error: UnicodeError) -> tuple[str, int]:
    """What to write for the characters that could not be encoded."""
    characters = error.object[error.start : error.end]
    return "".join(map(in_ascii, characters)), error.end


def in_ascii(character: str) -> str:
    """A spelling where there is one, an escape where there is none."""
    escaped = character.encode("ascii", "backslashreplace").decode()
    return ASCII.get(character, escaped)


def as_encodable(text: str, encoding: str) -> str:
    """The text as a stream of that encoding will show it."""
    return text.encode(encoding, HANDLER).decode(encoding)


def shortened(text: str, most: int = 40) -> str:
    """A text, cut off where it gets long."""
    return text if len(text) <= most else text[:most] + "..."


codecs.register_error(HANDLER, replace_unencodable)
