"""MathML from LaTeX, with the name of the variable at each symbol."""

import re
from collections.abc import Mapping
from functools import cache
from xml.etree import ElementTree as Tree

from latex2mathml.converter import convert

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
SPACES = re.compile(r"\s+")
BETWEEN_WORDS = re.compile(r"(?<=\S)\xa0(?=\S)")


def mathml(
    latex: str,
    symbols: Mapping[str, str],
    hues: Mapping[str, int],
    block: bool = False,
) -> str:
    """An equation as MathML; `symbols` has the LaTeX of each variable.

    An element that is a variable's symbol, and no part of a larger one,
    has `data-name`, and `data-hue` where `hues` has it. Raises ValueError
    for LaTeX that does not parse.
    """
    display = "block" if block else "inline"
    tree = tree_of(latex, display)
    names = {symbol_of(latex): name for name, latex in symbols.items()}
    mark(tree, names, hues)
    let_break(tree)
    Tree.register_namespace("", NAMESPACE)
    xml = Tree.tostring(tree, encoding="unicode")
    return xml.replace(f' xmlns="{NAMESPACE}"', "")  # HTML knows it


def tree_of(latex: str, display: str) -> Tree.Element:
    """LaTeX as a tree of MathML."""
    try:
        return Tree.fromstring(convert(latex, display=display))
    except Exception as error:
        raise ValueError(
            f"expected LaTeX that reads as MathML, got {latex!r}: {error}"
        ) from error


@cache
def symbol_of(latex: str) -> str:
    """What the symbol of a variable is made of."""
    return spelled(tree_of(latex, "inline"))


def spelled(element: Tree.Element) -> str:
    """What an element is made of, without what only groups it."""
    tag = element.tag.split("}")[-1]
    inner = "".join(map(spelled, element))
    if tag in ("math", "mrow", "mstyle") and len(element) == 1:
        return inner
    text = SPACES.sub(" ", element.text or "")
    return f"<{tag}>{text}{inner}</{tag}>"


def mark(
    element: Tree.Element, names: Mapping[str, str], hues: Mapping[str, int]
) -> None:
    """Give each symbol its name; what is inside of one gets none."""
    name = names.get(spelled(element))
    if name is not None and not element.tag.endswith("math"):
        element.set("data-name", name)
        if name in hues:
            element.set("data-hue", str(hues[name]))
        return
    for child in element:
        mark(child, names, hues)


def let_break(element: Tree.Element) -> None:
    """Let lines break between words, and say which commas separate."""
    for inner in element.iter():
        tag, text = inner.tag.split("}")[-1], inner.text or ""
        if tag == "mtext":
            inner.text = BETWEEN_WORDS.sub(" ", text)
        elif tag == "mo" and text == ",":
            inner.set("separator", "true")
