"""Makers: functions of a file that make its masks, as docs name them.

"mask: from make_pad_mask" says of a mask what the docstring of
`make_pad_mask` says of what it returns.
"""

import ast
import re
from textwrap import dedent

from parity_tests.judge.candidate.things import Thing

from .callers import INVERTS, OPPOSITE, mask_in, meaning_of
from .roles import comments_on, meaning_in, meaning_nearby

# What may stand between a mask and its maker; no word that could deny it.
BETWEEN = (
    r"(?:[\s`':=,]|\([^()]*\)|\b(?:is|are|comes?|made|built|created|given|"
    r"returned|returns?|result|output|value|as|the|an?|by|from|of|with|it|"
    r"that|which|what|see|in|boolean|bool|tensor|array|padding|mask)\b)*"
)
# "The inverse of what it returns": no longer what its docstring says.
TURNED = re.compile(
    r"inver[st]|opposite|negat|flip|complement|~|\bnot of\b"
)
# Numbers may be those of tokens: "0 is padding" is often said of these.
NUMBERS = re.compile(r"\b(\d[\d.]*|zeros?|ones?|nonzero)\b")


def meaning_by_its_maker(thing: Thing, name: str) -> str | None:
    """What a mask means by the docstring of the function that its docs or
    comments name as its maker: "attends", "hidden", or None.

    Where the file passes anything that is inverted, nothing is told.
    """
    passed = (mask_in(call, thing, name) for call in thing.calls)
    if any(re.search(INVERTS, mask) for mask in passed):
        return None
    meanings = {
        meaning_made(doc, source)
        for maker, doc, source in thing.makers
        if is_made_by(thing, name, maker)
    }
    return meanings.pop() if len(meanings) == 1 else None


def is_made_by(thing: Thing, name: str, maker: str) -> bool:
    """Whether the docs, or a comment, say that a mask comes from there."""
    comments = comments_on(thing.source, name).split("\n")
    said = "\n".join([thing.docs, *(f"{name}: {c}" for c in comments)])
    own, other = map(re.escape, (name, maker))
    found = re.search(rf"\b{own}\b{BETWEEN}\b{other}\b([^.\n]*)", said)
    return found is not None and TURNED.search(found[1]) is None


def meaning_made(doc: str, source: str) -> str | None:
    """What the docstring of a maker says of True and False, unless its
    own code says the opposite."""
    said = NUMBERS.sub(" ", " ".join(doc.lower().split()))
    meaning = meaning_in(said) or meaning_nearby(said)
    if meaning not in ("attends", "hidden"):
        return None
    does = {meaning_of(each) for each in returned(source)}
    return None if OPPOSITE[meaning] in does else meaning


def returned(source: str) -> list[str]:
    """The texts of what a function returns."""
    try:
        tree = ast.parse(dedent(source))
    except (SyntaxError, ValueError, RecursionError):
        return []
    return [
        ast.unparse(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Return) and node.value is not None
    ]
