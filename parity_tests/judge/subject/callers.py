"""Callers: what a file passes for a mask, as far as its code tells."""

import ast
import re

from parity_tests.judge.candidate.things import Thing

# What the text of an expression says that it is, before it is inverted.
PASSED = {
    "added": r"-\s?(\w+\.)?inf|-\s?1e\d|square_subsequent",
    "attends": r"!=|\.ne\(|not_equal|attention_mask|\btril?\(|arange.* < ",
    "hidden": r"==|\.eq\(|\bequal\(|\btriu\(|arange.* >= ",
}
INVERTS = r"^~|logical_not|^1(\.0)? - "
OPPOSITE = {"attends": "hidden", "hidden": "attends", "added": "added"}


def passed_meaning(thing: Thing, name: str) -> str | None:
    """What all calls of the file mean by a mask: "attends", "hidden",
    "added"; None where they do not tell."""
    masks = [mask_in(call, thing, name) for call in thing.calls]
    meanings = {meaning_of(mask) for mask in masks if mask}
    return meanings.pop() if len(meanings) == 1 else None


def mask_in(call: str, thing: Thing, name: str) -> str:
    """The text of the mask in a call, "" where none is passed."""
    node = ast.parse(call, mode="eval").body
    names = [each.name for each in thing.signature]
    passed = dict(zip(names, node.args, strict=False))
    passed |= {each.arg: each.value for each in node.keywords}
    mask = passed.get(name)
    is_none = isinstance(mask, ast.Constant) and mask.value is None
    return "" if mask is None or is_none else ast.unparse(mask)


def meaning_of(mask: str) -> str | None:
    """What the text of an expression says of its numbers.

    >>> meaning_of("(tokens != PAD).unsqueeze(1)")
    'attends'
    >>> meaning_of("~(tokens != PAD)")
    'hidden'
    """
    meanings = [m for m, text in PASSED.items() if re.search(text, mask)]
    if "added" in meanings:
        return "added"
    if len(meanings) != 1:
        return None
    is_inverted = re.search(INVERTS, mask) is not None
    return OPPOSITE[meanings[0]] if is_inverted else meanings[0]
