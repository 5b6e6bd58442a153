"""Tokens of code: names marked, and what differs from the other side.

A token that both sides have in the same order is never marked, and every
other one is: a longest common subsequence decides.
"""

import io
import keyword
import tokenize
from collections.abc import Mapping
from html import escape

from .aligning import aligned

LAYOUT = {
    *(tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENDMARKER, tokenize.COMMENT),
}


def tokens_of(code: str) -> list[tokenize.TokenInfo]:
    """All tokens of a piece of code."""
    lines = io.StringIO(f"{code}\n").readline
    return [*tokenize.generate_tokens(lines)]


def words_of(code: str) -> list[str]:
    """The tokens that mean something: no comments, no line ends."""
    return [t.string for t in tokens_of(code) if t.type not in LAYOUT]


def marked(left: str, right: str) -> tuple[set[int], set[int]]:
    """Which of the words of either are not the other's."""
    pairs = aligned(words_of(left), words_of(right))
    return (
        {i for i, j in pairs if i is not None and j is None},
        {j for i, j in pairs if j is not None and i is None},
    )


def as_html(
    code: str, marks: set[int], names: set[str], hues: Mapping[str, int]
) -> str:
    """Code as HTML: `names` can be lit, and the marked words stand out.

    `hues` has the number of a colour for some of the names.
    """
    lines, parts, row, column, word = code.split("\n"), [], 1, 0, 0
    for token in tokens_of(code):
        if token.type in LAYOUT - {tokenize.COMMENT}:
            continue
        begin, end = token.start, token.end
        parts.append("\n" * (begin[0] - row))
        column = 0 if begin[0] > row else column
        parts.append(escape(lines[begin[0] - 1][column : begin[1]]))
        is_word = token.type != tokenize.COMMENT
        parts.append(span_of(token, is_word and word in marks, names, hues))
        word += is_word
        row, column = end
    return "".join(parts)


def span_of(
    token: tokenize.TokenInfo,
    is_marked: bool,
    names: set[str],
    hues: Mapping[str, int],
) -> str:
    """One token: its class, its name where it has one, and its mark."""
    text = escape(token.string)
    is_name = token.type == tokenize.NAME
    if is_name and keyword.iskeyword(token.string):
        text = f'<span class="keyword">{text}</span>'
    elif is_name and token.string in names:
        hue = f' data-hue="{hues[text]}"' if text in hues else ""
        text = f"<span data-name{hue}>{text}</span>"
    elif token.type == tokenize.COMMENT:
        text = f'<span class="comment">{text}</span>'
    return f"<mark>{text}</mark>" if is_marked else text
