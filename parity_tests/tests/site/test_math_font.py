"""The font of the equations: it has what they need, and its licence."""

import pytest
from fontTools.ttLib import TTFont

from study.command import missing
from study.site.command import NEEDED
from study.site.math_font import NAME, write_font
from study.site.side_by_side.mathml import mathml
from study.site.symbols import SYMBOLS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("font")
    write_font(folder)
    return folder


def test_it_is_a_font_for_mathematics_with_its_licence(folder):
    font = TTFont(folder / f"{NAME}.woff")
    assert "MATH" in font
    assert "Open Font License" in font["name"].getDebugName(13)
    text = (folder / f"{NAME}.txt").read_text("utf-8")
    assert "The STIX Fonts Project Authors" in text
    assert "https://scripts.sil.org/OFL" in text


def test_it_has_each_character_of_the_symbols_also_in_italics(folder):
    known = TTFont(folder / f"{NAME}.woff").getBestCmap()
    symbols = {s for table in SYMBOLS.values() for s in table.values()}
    spelled = "".join(mathml(symbol, {}, {}) for symbol in symbols)
    assert {ord(character) for character in spelled} <= known.keys() | {10}
    italic_a, italic_alpha, double_r = 0x1D44E, 0x1D6FC, 0x211D
    assert {italic_a, italic_alpha, double_r} <= known.keys()


def test_it_is_a_part_of_the_whole_font(folder):
    assert (folder / f"{NAME}.woff").stat().st_size < 500_000


def test_what_is_there_is_not_written_again(folder):
    before = (folder / f"{NAME}.woff").stat().st_mtime_ns
    write_font(folder)
    assert (folder / f"{NAME}.woff").stat().st_mtime_ns == before


def test_writing_it_says_nothing(tmp_path, caplog):
    with caplog.at_level("INFO"):
        write_font(tmp_path)
    assert not caplog.records


@pytest.mark.parametrize("package", NEEDED)
def test_each_package_that_the_site_needs_is_in_an_extra(package):
    text = missing(ModuleNotFoundError(name=package))
    assert f"expected {package} to be installed" in text
