"""The font of the equations: STIX Two Math, cut to what equations need.

It comes with the package ziamath, under the SIL Open Font License, which
allows to pass a part of it on; the licence stays in the font, and stands
beside it as a text.
"""

import logging
from importlib.util import find_spec
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

NAME = "stix-two-math"
# Letters, Greek ones too, accents, primes and arrows, operators, brackets,
# and the letters of mathematics, such as italic ones.
BLOCKS = (
    *((0x20, 0x7E), (0xA0, 0xFF), (0x2B0, 0x36F), (0x370, 0x3FF)),
    *((0x2000, 0x206F), (0x2070, 0x209F), (0x20D0, 0x20FF)),
    *((0x2100, 0x214F), (0x2190, 0x22FF), (0x2300, 0x23FF)),
    *((0x27E0, 0x27FF), (0x1D400, 0x1D7FF)),
)
# Which glyphs are kept fills pages, wherever a library has set up a log.
logging.getLogger("fontTools").setLevel(logging.WARNING)
COPYRIGHT, LICENCE, ADDRESS = 0, 13, 14  # numbers of entries in a font


def write_font(folder: Path) -> None:
    """Write the font and its licence into a folder, if they lack there."""
    font, licence = folder / f"{NAME}.woff", folder / f"{NAME}.txt"
    if font.is_file() and licence.is_file():
        return
    options = subset.Options(flavor="woff", name_IDs=["*"])
    options.layout_features += ["ssty", "dtls"]  # sizes of indices, dots
    package = Path(find_spec("ziamath").origin).parent
    path = package / "fonts" / "STIXTwoMath-Regular.ttf"
    with subset.load_font(str(path), options) as whole:
        licence.write_text(licence_of(whole), encoding="utf-8")
        subsetter = subset.Subsetter(options)
        subsetter.populate(
            unicodes=[
                code
                for first, last in BLOCKS
                for code in range(first, last + 1)
            ]
        )
        subsetter.subset(whole)
        subset.save_font(whole, str(font), options)


def licence_of(font: TTFont) -> str:
    """Who made a font and under which licence, as the font itself says."""
    entries = [
        font["name"].getDebugName(number)
        for number in (COPYRIGHT, LICENCE, ADDRESS)
    ]
    return "\n".join(entries) + "\n"
