"""`twice variance`: the table, the plot, JSON, errors."""

import errno
import json
import sys
from math import log
from pathlib import Path
from xml.etree import ElementTree

import pytest

import study
from numpy_ref import attention
from parity_tests.claims import scale as claims_of_scale
from study.variance import measures as variance_measures
from study.variance import plots as variance_plots

FEW = ("--samples", 64)
PNG = b"\x89PNG\r\n\x1a\n"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def narrow(monkeypatch):
    """Two widths, for what does not depend on them."""
    monkeypatch.setattr(variance_measures, "D_HEADS", (4, 16))
    monkeypatch.setattr(variance_measures, "OF_ROWS", (4, 16))


@pytest.fixture
def undrawn(monkeypatch):
    """A plot that takes no time, for what does not look at it."""
    monkeypatch.setattr(variance_plots, "plot_file", lambda *_: b"plot")


@pytest.fixture
def no_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "study.variance.plots", raising=False)
    monkeypatch.delattr(study, "variance_plots", raising=False)


def test_it_prints_a_table_and_draws_variance_png(twice, here):
    code, out, err = twice("variance", *FEW)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "64 pairs of query and key, and 64 rows" in lines[0]
    assert [line.split()[0] for line in lines if "%  " in line] == [
        str(2**power) for power in range(2, 11)
    ]
    assert "Here 9 of 9 do." in out
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "variance.png"
    assert (here / "variance.png").read_bytes().startswith(PNG)
    assert [*here.iterdir()] == [here / "variance.png"]


def test_json_has_the_numbers_and_nothing_is_drawn(twice, here):
    code, out, err = twice("variance", *FEW, "--seed", 3, "--json")
    assert (code, err) == (0, "")
    assert not [*here.iterdir()]
    measures = json.loads(out)
    sizes = [measures[name] for name in ("samples", "seed", "tokens")]
    assert sizes == [64, 3, 64]
    assert measures["agree"] is True
    assert measures["band"]["least"] < 1 < measures["band"]["greatest"]
    assert measures["inside_the_band"] == 9
    assert [width["d_head"] for width in measures["widths"]] == [
        *(4, 8, 16, 32, 64, 128, 256, 512, 1024)
    ]
    for width in measures["widths"]:
        scaled = width["variance"] / width["d_head"]
        assert width["variance_of_scores"] == pytest.approx(scaled)
        assert 0 < width["bare"]["entropy"] < width["scaled"]["entropy"]
        assert width["scaled"]["entropy"] < log(64)
    last = measures["widths"][-1]["bare"]
    assert last["jacobian_median"] < 0.01 < last["jacobian_rms"]
    for row in measures["rows"]:
        for side in ("bare", "scaled"):
            assert sum(row[side]) == pytest.approx(1)
            assert row[side] == sorted(row[side], reverse=True)


@pytest.mark.slow
@pytest.mark.usefixtures("narrow")
def test_json_with_out_does_both(twice, here):
    code, out, _ = twice("variance", *FEW, "--json", "--out", "a.png")
    assert code == 0
    assert len(json.loads(out)["widths"]) == 2
    assert (here / "a.png").read_bytes().startswith(PNG)


@pytest.mark.slow
@pytest.mark.usefixtures("narrow")
def test_an_svg_is_the_same_for_the_same_seed_alone(twice, here):
    for name, seed in (("a.svg", 5), ("b.SVG", 5), ("c.svg", 6)):
        code, _, _ = twice("variance", *FEW, "--seed", seed, "--out", name)
        assert code == 0
    first, again, other = (
        (here / name).read_bytes() for name in ("a.svg", "b.SVG", "c.svg")
    )
    assert first == again != other


@pytest.mark.slow
@pytest.mark.usefixtures("narrow")
def test_an_svg_says_in_words_what_is_to_be_seen(twice, here):
    twice("variance", *FEW, "--out", "a.svg")
    root = ElementTree.parse(here / "a.svg").getroot()
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}title").text.startswith("The square root of d")
    text = (here / "a.svg").read_text("utf-8")
    assert "<dc:description>Six plots over d" in text
    assert "<dc:date>" not in text
    assert ">variance of q·k, and of q·k/√d<" in text


@pytest.mark.usefixtures("narrow", "undrawn")
def test_a_wrong_scale_ends_with_1(twice, monkeypatch):
    monkeypatch.setattr(
        claims_of_scale,
        "attention_scores",
        lambda q, k: 4 * attention.attention_scores(q, k),
    )
    code, out, _ = twice("variance", *FEW)
    assert code == 1
    assert "Here 0 of 2 do. THIS IS NOT CHANCE." in out


WRONG = {
    "another suffix": (
        ["--out", "a.pdf"],
        "expected --out to end with .png or .svg, got a.pdf",
    ),
    "no suffix": (["--out", "plot"], "end with .png or .svg, got plot"),
    "a folder that is not there": (
        ["--out", "no/such.png"],
        "a folder to write such.png into, got no, which does not exist",
    ),
    "no samples": (
        ["--samples", "0"],
        "expected --samples from 64 to 1,000,000, got 0",
    ),
    "too many samples": (["--samples", "1000001"], "got 1000001"),
    "no number of samples": (["--samples", "many"], "valid integer"),
    "a seed below 0": (
        ["--seed", "-1"],
        "expected --seed to be at least 0, got -1",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_use_ends_with_2_and_leaves_nothing(twice, here, wrong):
    arguments, message = WRONG[wrong]
    code, out, err = twice("variance", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not [*here.iterdir()]


@pytest.mark.usefixtures("narrow", "undrawn")
def test_a_file_that_cannot_be_written_leaves_nothing_behind(twice, here):
    (here / "folder.png").mkdir()
    for name in ("folder.png", f"{'a' * 248}.png"):
        code, out, err = twice("variance", *FEW, "--out", name)
        assert (code, out) == (2, "")
        assert err.startswith(f"twice: expected to write {name}, got ")
        assert err.count("\n") == 1
    assert [*here.iterdir()] == [here / "folder.png"]
    assert not [*(here / "folder.png").iterdir()]


@pytest.mark.usefixtures("narrow", "undrawn")
def test_a_full_disk_leaves_the_old_plot(twice, here, monkeypatch):
    old = here / "variance.png"
    old.write_bytes(b"old")

    def full(path, data):
        path.open("wb").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    code, out, err = twice("variance", *FEW)
    assert (code, out) == (2, "")
    assert "expected to write variance.png, got No space left" in err
    assert [*here.iterdir()] == [old]
    assert old.read_bytes() == b"old"


@pytest.mark.usefixtures("no_matplotlib")
def test_without_matplotlib_it_names_the_extra(twice, here):
    code, out, err = twice("variance", *FEW)
    assert (code, out) == (2, "")
    assert err == (
        "twice: expected matplotlib to be installed, got none; "
        'pip install "attention-twice[plots]"\n'
    )
    assert not [*here.iterdir()]


@pytest.mark.usefixtures("no_matplotlib", "narrow")
def test_json_needs_no_matplotlib(twice):
    code, out, _ = twice("variance", *FEW, "--json")
    assert code == 0
    assert json.loads(out)["samples"] == 64


def test_it_is_among_the_examples(twice):
    _, out, _ = twice("--help")
    assert "twice variance " in out
