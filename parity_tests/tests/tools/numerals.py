"""Typed numerals: measured numbers that stand in prose by hand.

A number with a unit, a ratio, one of four digits and more, and any length
of time can become false without anybody touching the text. Such numbers
are marked figures (`study/figures/`); what is found here is not marked.
"""

import ast
import re
from collections.abc import Iterator

from study.figures.marks import MARKED

# What is no prose, or is not measured; each is blanked out, in this order.
FRONT_MATTER = re.compile(r"\A---\n.*?^---$", re.M | re.S)
BLOCK = re.compile(r"^ *```.*?^ *```$", re.M | re.S)
CODE = re.compile(r"(?<!`)(`+)(?!`)(?:(?!\n\s*\n).)+?(?<!`)\1(?!`)", re.S)
COMMENT = re.compile(r"<!--.*?-->", re.S)
TARGET = re.compile(r"\]\([^)\s]*\)")
ADDRESS = re.compile(r"https?://\S+|\barXiv:\d{4}\.\d{4,5}")
VERSION = re.compile(
    r"\b(?:Python|PyTorch|NumPy|version)\s\d+(?:\.\d+)+"
    r"|\b\d+(?:\.\d+){2,}"
)
NO_PROSE = (
    *(FRONT_MATTER, BLOCK, CODE, MARKED, COMMENT),
    *(TARGET, ADDRESS, VERSION),
)

NUMBER = r"\d[\d,]*(?:\.\d+)?"
UNIT = (
    r"%|percent\b|×(?! ?\d)|times\b|(?:[mµn]?s|min|h)\b"
    r"|[kMGT]i?B\b|bytes?\b|[kMB]\b|(?:million|billion)\b"
)
NUMERAL = re.compile(
    r"(?<![\w.√])(?:"
    rf"{NUMBER}\s?(?:{UNIT})"
    rf"|{NUMBER}\s?[/:]\s?\d+|{NUMBER}\s(?:out\s)?of\s{NUMBER}"  # ratios
    r"|\d+(?:\.\d+)?e[-+]?\d+|\d+\.\d+"
    r"|\d{1,3}(?:,\d{3})+|\d{4,}"
    r")"
    r"|\b(?:\w+ )?(?:minute|(?:\w*seconds|minutes|hours|days))\b"
)
YEAR = re.compile(r"19(?:0[89]|[1-9]\d)|20(?:[0-2]\d|30)")
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.M | re.S)
CELL_OPTIONS = re.compile(
    r"\A(?:---\n.*?^---\n|(?::\w[^\n]*\n)+)", re.M | re.S
)


def prose(text: str) -> str:
    """The text with blanks for what is no prose; its lines stay."""
    for pattern in NO_PROSE:
        text = pattern.sub(blank, text)
    return text


def blank(match: re.Match) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def numerals(text: str) -> list[str]:
    """The typed numerals of a page's prose, and of what its cells say."""
    return [
        numeral
        for part in (prose(text), *map(prose, said(text)))
        for numeral in NUMERAL.findall(part)
        if not YEAR.fullmatch(numeral)
    ]


def said(text: str) -> Iterator[str]:
    """What the cells of a notebook say, with ␣ for what is computed."""
    for cell in CELL.findall(text):
        for node in ast.walk(ast.parse(CELL_OPTIONS.sub("", cell))):
            if isinstance(node, ast.Call) and called(node) == "say":
                yield from map(typed, node.args)


def called(node: ast.Call) -> str | None:
    return node.func.id if isinstance(node.func, ast.Name) else None


def typed(node: ast.expr) -> str:
    """The typed part of a string or of an f-string."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(typed, node.values))
    return str(node.value) if isinstance(node, ast.Constant) else "␣"
