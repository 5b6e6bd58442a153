"""Fonts: what none has is named, and what one has is drawn with it."""

import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from bert_viz import from_arrays
from bert_viz.plots import fonts
from bert_viz.plots.describing import LAST_RESORT
from bert_viz.plots.head import plot_head
from bert_viz.plots.saving import save

DEJAVU = font_manager.findfont("DejaVu Sans")
STIX = "STIXGeneral"  # Matplotlib brings both of them
CIRCLED = "\u24b6"  # STIX has it, DejaVu does not
NOWHERE = "\u4e2d\U0001f415"  # neither has


@pytest.fixture
def as_shipped(monkeypatch):
    """No fonts but Matplotlib's own."""
    entries = [
        entry
        for entry in font_manager.fontManager.ttflist
        if "mpl-data" in entry.fname
    ]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", entries)


def titled(text: str, *boxes: str) -> Figure:
    """A figure with a title alone; `boxes` is a font that has only them."""
    figure = Figure()
    figure.suptitle(text, fontfamily=["DejaVu Sans", *boxes])
    return figure


def family_of(figure: Figure) -> list[str]:
    return figure._suptitle.get_fontfamily()


def test_the_characters_are_what_they_are_said_to_be():
    paths = {
        entry.name: entry.fname
        for entry in font_manager.fontManager.ttflist
    }
    assert not fonts.has(DEJAVU, CIRCLED)
    assert fonts.has(paths[STIX], CIRCLED)
    assert not any(fonts.has(DEJAVU, character) for character in NOWHERE)


def test_a_character_gets_a_font_that_has_it(as_shipped):
    figure = titled(f"cat {CIRCLED}")
    assert fonts.give_fonts(figure) == ""
    assert family_of(figure) == ["DejaVu Sans", STIX]


def test_what_no_font_has_is_named(as_shipped):
    figure = titled(f"cat {NOWHERE} \u221a")
    assert fonts.give_fonts(figure) == NOWHERE
    assert family_of(figure) == ["DejaVu Sans"]


def test_nothing_is_read_where_nothing_is_lacking(monkeypatch):
    monkeypatch.setattr(fonts, "fonts_for", None)
    figure = titled("cat é \u221a")
    assert fonts.give_fonts(figure) == ""
    assert family_of(figure) == ["DejaVu Sans"]


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_a_saved_plot_says_what_is_a_box(as_shipped, tmp_path, suffix):
    figure = titled(f"cat {NOWHERE[0]}", LAST_RESORT)
    with pytest.warns(UserWarning, match=f"boxes: {NOWHERE[0]}; no font"):
        save(figure, tmp_path / f"plot{suffix}")


def test_a_label_of_a_plot_has_its_fonts_too(as_shipped):
    attention = from_arrays(["cat", NOWHERE[0]], [[0.5, 0.5], [0.25, 0.75]])
    figure = plot_head(attention, 0, 0).figure
    assert fonts.give_fonts(figure) == NOWHERE[0]


def test_text_in_svg_is_left_to_the_fonts_of_its_reader(
    as_shipped, tmp_path, recwarn
):
    save(titled(f"cat {NOWHERE[0]}", LAST_RESORT), tmp_path / "plot.svg")
    assert not recwarn.list
    assert NOWHERE[0] in (tmp_path / "plot.svg").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("as_shipped")
def test_the_command_says_in_one_line_what_is_a_box(twice, tmp_path):
    path = tmp_path / "plot.png"
    head = ("--layer", 0, "--head", 0)
    code, out, err = twice("view", NOWHERE[0], "--plot", path, *head)
    assert code == 0
    assert out.splitlines()[-1] == str(path)
    assert err.startswith(f"{path}: drawn as boxes: {NOWHERE[0]}; no font")
    assert err.count("\n") == 1
    code, _, err = twice("view", "a cat", "--plot", path, *head)
    assert (code, err) == (0, "")
