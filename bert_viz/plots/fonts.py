"""Fonts for any text: one that has each character, or none that does.

Matplotlib draws a box for a character that its font lacks. Here such a
text gets a further font that has it, where one is installed; what none
has can be named, instead of boxes that nobody explains.
"""

from collections.abc import Iterator

from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager, get_font
from matplotlib.text import Text

from .describing import LAST_RESORT


def give_fonts(figure: Figure) -> str:
    """Give each text of a figure the fonts it needs.

    What comes back are the characters that no installed font has. The
    installed fonts are read only where the usual one lacks a character.
    """
    texts = {text: lacking(text) for text in figure.findobj(Text)}
    wanted = set().union(*texts.values())
    fonts = dict(fonts_for(wanted)) if wanted else {}
    for text, characters in texts.items():
        names = {
            name for name, covered in fonts.items() if covered & characters
        }
        if names:
            boxes = [LAST_RESORT] * (LAST_RESORT in text.get_fontfamily())
            text.set_fontfamily([*real_fonts(text), *sorted(names), *boxes])
    return "".join(sorted(wanted.difference(*fonts.values())))


def lacking(text: Text) -> set[str]:
    """The characters of a text that its own fonts lack."""
    characters = {c for c in text.get_text() if c.isprintable()}
    for family in real_fonts(text):
        properties = text.get_fontproperties().copy()
        properties.set_family(family)
        path = fontManager.findfont(properties)
        characters = {c for c in characters if not has(path, c)}
    return characters


def real_fonts(text: Text) -> list[str]:
    """The fonts of a text, but for one that has only boxes."""
    families = text.get_fontfamily()
    return [name for name in families if name != LAST_RESORT]


def has(path: str, character: str) -> bool:
    return get_font(path).get_char_index(ord(character)) != 0


def fonts_for(wanted: set[str]) -> Iterator[tuple[str, set[str]]]:
    """Installed fonts by name, with which of the characters each has.

    Only as many as are needed, in the order of their names.
    """
    entries = sorted(fontManager.ttflist, key=lambda font: font.name)
    for entry in entries:
        if not wanted:
            return
        if entry.name == LAST_RESORT:
            continue
        if not get_font(entry.fname).scalable:  # such as coloured emoji
            continue
        covered = {c for c in wanted if has(entry.fname, c)}
        if covered:
            yield entry.name, covered
            wanted = wanted - covered
