"""Choosing a token, by its position or by its text."""

from .attention import Attention
from .spelling import readable

DIRECTIONS = ("from", "to")


def sides_of(
    attention: Attention, direction: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tokens from or to which weights go, and those at the other end.

    Raises ValueError for another direction.
    """
    if direction not in DIRECTIONS:
        raise ValueError(
            f"expected direction to be from or to, got {direction!r}"
        )
    sides = attention.tokens, attention.key_tokens
    return sides if direction == "from" else sides[::-1]


def name_of(attention: Attention, position: int, direction: str) -> str:
    """A token and its position, in words."""
    tokens, _ = sides_of(attention, direction)
    return f"{readable(tokens[position])} (token {position})"


def position_of(
    attention: Attention, token: int | str, direction: str = "from"
) -> int:
    """The position of a token.

    Raises ValueError for a position out of range, and for a text that no
    token has, or several.
    """
    tokens, _ = sides_of(attention, direction)
    count = len(tokens)
    if not isinstance(token, str):
        if not 0 <= token < count:
            raise ValueError(
                f"expected a token from 0 to {count - 1}, got {token}"
            )
        return int(token)
    positions = [
        position for position, text in enumerate(tokens) if text == token
    ]
    if len(positions) != 1:
        listed = ", ".join(map(str, positions)) or "none"
        raise ValueError(
            "expected a token that occurs once, or its position, got "
            f"{readable(token)} at positions: {listed}"
        )
    return positions[0]
