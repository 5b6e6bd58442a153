"""Escapes: text made visible, on a plot or in a terminal."""

LONGEST = 20  # characters of a token
JOINERS = "\u200c\u200d"  # invisible, but words and emoji need them


def escaped(text: str) -> str:
    r"""Escape what is invisible, or would reverse the line's direction.

    >>> escaped("a\tb\u202ec")
    'a\\tb\\u202ec'
    """
    return "".join(
        character
        if character.isprintable() or character in JOINERS
        else character.encode("unicode_escape").decode()
        for character in text
    )


def readable(token: str) -> str:
    r"""A token made visible, and short enough for a label.

    >>> readable(" cat"), readable("a\n"), readable("")
    ('␣cat', 'a\\n', '""')
    """
    text = escaped(token[: LONGEST + 1]).replace(" ", "␣") or '""'
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
