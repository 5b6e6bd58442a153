"""Printable: text from a judged file, made fit for terminals and tables."""

LONGEST = 2000  # characters of one text
FORMULA = ("=", "+", "-", "@")


def printable(text: object, most: int = LONGEST) -> str:
    """A text in one line, with escapes for all that is no character.

    Control characters, changes of direction and lone surrogates are shown
    and not obeyed.
    """
    shown = str(text)[: most + 1]
    escaped = "".join(
        character if character.isprintable() else in_escapes(character)
        for character in shown
    )
    return escaped if len(shown) <= most else escaped[:most] + "…"


def in_escapes(character: str) -> str:
    """A character as Python would spell it; a line break as a space."""
    if character in "\n\r\t":
        return " "
    return character.encode("unicode_escape", "backslashreplace").decode()


def cell(text: object) -> str:
    """A text that no spreadsheet takes for a formula."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(FORMULA) else shown
