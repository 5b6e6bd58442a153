"""Special tokens: signs to a model, which no text should contain."""

import re
from collections.abc import Collection


def any_of(tokens: Collection[str]) -> re.Pattern[str]:
    """A pattern of any of the tokens, the longer one where two begin."""
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})")


def check_different(tokens: tuple[str, ...]) -> None:
    """Raise ValueError for a special token that is empty or comes twice."""
    if "" in tokens or len(set(tokens)) < len(tokens):
        raise ValueError(
            f"expected special tokens to be different texts, got {tokens}"
        )


def check_has_none(text: str, tokens: Collection[str]) -> None:
    """Raise ValueError when one of the special tokens is in the text."""
    found = any_of(tokens).search(text) if tokens else None
    if found:
        raise ValueError(
            f"expected a text without special tokens, got {found[0]!r} at "
            f"{found.start()}; name it in allowed_special to give it its "
            "id, or pass disallowed_special=() to encode it as text"
        )
