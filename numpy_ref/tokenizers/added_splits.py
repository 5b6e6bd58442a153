"""Splitting at added tokens: they stay whole wherever they stand.

For byte-level tokenizers, which change nothing of the text before. An
added token may take the white space beside it along (`lstrip`, `rstrip`),
as `<mask>` does in RoBERTa.
"""

from collections.abc import Iterator, Sequence
from functools import cache

from .added_tokens import AddedToken
from .pretokens import code_range
from .special_tokens import any_of
from .unicode_classes import WHITE_SPACE


def split_at_added(
    text: str, tokens: Sequence[AddedToken]
) -> list[str | AddedToken]:
    """A text, cut at its added tokens; those not normalized come first.

    >>> mask = AddedToken("<mask>", 4, lstrip=True)
    >>> text, token, rest = split_at_added("a <mask> b", [mask])
    >>> text, token.content, rest
    ('a', '<mask>', ' b')
    """
    parts = [text]
    for normalized in (False, True):
        group = {
            token.content: token
            for token in tokens
            if token.normalized == normalized
        }
        parts = [piece for part in parts for piece in cut(part, group)]
    return parts


def cut(
    part: str | AddedToken, tokens: dict[str, AddedToken]
) -> Iterator[str | AddedToken]:
    """Cut a part at these tokens, unless it is a token already."""
    if isinstance(part, AddedToken) or not tokens:
        yield part
        return
    begin = 0
    for match in any_of(tokens).finditer(part):
        token = tokens[match[0]]
        before, after = part[begin : match.start()], part[match.end() :]
        yield before.rstrip(white_space()) if token.lstrip else before
        yield token
        begin = match.end()
        if token.rstrip:
            begin += len(after) - len(after.lstrip(white_space()))
    yield part[begin:]


@cache
def white_space() -> str:
    """Every character that Unicode counts as white space."""
    return "".join(
        chr(code)
        for first, last in map(code_range, WHITE_SPACE.split())
        for code in range(first, last + 1)
    )
