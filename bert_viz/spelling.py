"""Text so that it can be seen: on a plot, in a terminal."""

LONGEST = 20  # characters of a token
JOINERS = "\u200c\u200d"  # unseen, but words and emoji need them


def spelled(text: str) -> str:
    r"""Characters that are not seen, or turn the line round, as escapes.

    >>> spelled("a\tb\u202ec")
    'a\\tb\\u202ec'
    """
    return "".join(
        one
        if one.isprintable() or one in JOINERS
        else one.encode("unicode_escape").decode()
        for one in text
    )


def readable(token: str) -> str:
    r"""A token so that it can be seen, and on a short line.

    >>> readable(" cat"), readable("a\n"), readable("")
    ('␣cat', 'a\\n', '""')
    """
    text = spelled(token[: LONGEST + 1]).replace(" ", "␣") or '""'
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
