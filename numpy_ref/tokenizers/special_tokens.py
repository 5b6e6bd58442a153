"""Special tokens: signs to a model, which a text should not contain."""

import re
from collections.abc import Collection
from typing import Literal

Specials = Collection[str] | Literal["all"]


def any_of(tokens: Collection[str]) -> re.Pattern[str]:
    """A pattern of any of the tokens, of which the longest is matched."""
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})")


def named(tokens: Specials, everything: set[str]) -> set[str]:
    """The tokens themselves, or `everything` for "all".

    Raises ValueError for any other text: its letters would be the tokens.
    """
    if tokens == "all":
        return everything
    if isinstance(tokens, str):
        raise ValueError(
            f'expected "all" or a set of special tokens, got {tokens!r}'
        )
    return set(tokens)


def check_different(tokens: Collection[str]) -> None:
    """Raise ValueError for a special token that is empty or comes twice."""
    if "" in tokens or len(set(tokens)) < len(tokens):
        raise ValueError(
            f"expected special tokens to be different texts, got {tokens}"
        )


def check_has_none(text: str, tokens: Collection[str]) -> None:
    """Raise ValueError when one of the special tokens is in the text."""
    match = any_of(tokens).search(text) if tokens else None
    if match:
        raise ValueError(
            f"expected a text without special tokens, got {match[0]!r} at "
            f"{match.start()}; name it in allowed_special to give it its "
            "id, or pass disallowed_special=() to encode it as text"
        )
