"""How a text is written out: cut where it is long, and in ASCII where
the stream cannot encode a sign.

Every text passes here on its way out, as an error handler of the stream:
what can be encoded stays, a sign with a spelling gets it, and the rest is
escaped, so that no text ends in a UnicodeEncodeError.
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


def spelled(error: UnicodeError) -> tuple[str, int]:
    """What to write in place of the signs that could not be encoded."""
    signs = error.object[error.start : error.end]
    return "".join(map(in_ascii, signs)), error.end


def in_ascii(sign: str) -> str:
    """A spelling where there is one, an escape where there is none."""
    return (
        ASCII.get(sign) or sign.encode("ascii", "backslashreplace").decode()
    )


def as_encodable(text: str, encoding: str) -> str:
    """The text as a stream of that encoding will show it."""
    return text.encode(encoding, "spelled").decode(encoding)


def shortened(text: str, most: int = 40) -> str:
    """A text, cut where it gets long."""
    return text if len(text) <= most else text[:most] + "..."


HANDLER = "spelled"
codecs.register_error(HANDLER, spelled)
