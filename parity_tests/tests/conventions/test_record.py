"""The record of older releases: its form, and that bugs stay mended."""

import json
import sys
from dataclasses import replace
from datetime import date
from math import nan
from pathlib import Path

import pytest

from parity_tests.conventions import record as time_machine
from parity_tests.conventions.record import (
    entry,
    library_of,
    main,
    recorded,
    releases,
)
from parity_tests.conventions.shipped_bugs import SHIPPED_BUGS
from parity_tests.conventions.table import COLUMNS, row, running, versions

HOUSE = Path(__file__).parents[3]
RECORDED = recorded(HOUSE / "data" / "conventions_before.json")
CONVENTIONS = {
    each["release"]: each["conventions"] for each in RECORDED["releases"]
}
FIRST = SHIPPED_BUGS[0]


def test_every_release_is_recorded_with_all_conventions():
    assert date.fromisoformat(RECORDED["recorded"]) > date(2026, 1, 1)
    assert list(CONVENTIONS) == releases()
    for each in RECORDED["releases"]:
        package, _, version = each["release"].partition("==")
        assert each["versions"][package] == version
        assert list(each["conventions"]) == list(COLUMNS)


@pytest.mark.parametrize(
    ("bug", "line"),
    list(zip(SHIPPED_BUGS, RECORDED["bugs"], strict=True)),
    ids=[bug.name for bug in SHIPPED_BUGS],
)
def test_every_bug_is_recorded_as_it_is_told(bug, line):
    line = dict(line)
    got = line.pop("got")
    assert line == {name: getattr(bug, name) for name in line}
    assert len(line) == 7
    assert not bug.is_right(got)
    assert bug.origin.startswith("https://github.com/")


@pytest.mark.parametrize(
    ("release", "column", "convention"),
    [
        ("onnx==1.18.0", "grouping", "key heads are tiled"),
        ("onnx==1.19.1", "grouping", "neighbours share a key head"),
        ("onnx==1.19.1", "fully_masked_row", "NaN"),
        ("onnx==1.23.0", "fully_masked_row", "zeros"),
        ("onnxruntime==1.23.2", "fully_masked_row", "NaN"),
        ("onnxruntime==1.28.0", "fully_masked_row", "zeros"),
        (
            "onnxruntime==1.23.2",
            "alignment",
            "upper left, but one query sees all",
        ),
        ("onnxruntime==1.28.0", "alignment", "upper left"),
        ("x-transformers==1.18.0", "alignment", "upper left"),
    ],
)
def test_the_judge_saw_what_the_numbers_show(release, column, convention):
    assert CONVENTIONS[release][column] == convention


def newest_release(package: str) -> str:
    """The newest recorded one: the record goes from old to new."""
    return [n for n in CONVENTIONS if n.startswith(f"{package}==")][-1]


@pytest.mark.slow
@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_what_is_installed_is_still_as_recorded(package):
    library = library_of(package)
    installed = versions(library.packages)
    if len(installed) < len(library.packages):
        pytest.skip(f"needs {' and '.join(library.packages)}")
    with running(library) as host:
        bugs = [b for b in SHIPPED_BUGS if b.adapter == library.adapter]
        assert len(bugs) >= 3
        for bug in bugs:
            assert bug.is_right(bug.answer(host)), bug.name
    today = row(library, installed, sys.executable)
    assert today["conventions"] == CONVENTIONS[newest_release(package)]


# --- what is recorded, and what is refused --------------------------------


def answers(wrong, right) -> dict:
    return {
        (FIRST.name, FIRST.release): wrong,
        (FIRST.name, FIRST.mended): right,
    }


def test_a_bug_that_shows_and_is_mended_is_recorded():
    line = entry(FIRST, answers([1.5, 3.5, 1.5, 3.5], [2, 3, 2, 3]))
    assert line["got"] == [1.5, 3.5, 1.5, 3.5]
    assert line["right"] == [2, 3, 2, 3]


@pytest.mark.parametrize(
    ("wrong", "right", "trouble"),
    [
        ([2, 3, 2, 3], [2, 3, 2, 3], "expected onnx==1.18.0 to be wrong"),
        ("raises A", "raises B", "expected onnx==1.19.0 to give"),
    ],
)
def test_a_bug_that_is_none_or_not_mended_is_refused(wrong, right, trouble):
    with pytest.raises(ValueError, match=trouble):
        entry(FIRST, answers(wrong, right))


class FakeHost:
    """A host whose one answer is known, and what it was asked."""

    def __init__(self, answer: dict):
        self.answered = answer

    def call(self, name: str, arguments: dict, how: dict) -> dict:
        self.asked = name, arguments, how
        return self.answered


def test_an_answer_has_four_digits_and_nan_by_name():
    host = FakeHost({"value": [[1.23456], [nan]]})
    assert FIRST.answer(host) == [1.2346, "NaN"]
    name, arguments, _ = host.asked
    assert name == "operator"
    assert arguments["inputs"]["V"].dtype == "float32"
    assert arguments["q_num_heads"] == 2
    error = {"error": {"type": "AssertionError"}}
    assert FIRST.answer(FakeHost(error)) == "raises AssertionError"


def test_nan_is_never_right_where_a_number_is():
    bug = replace(FIRST, right=[0, 1])
    assert bug.is_right([0.0, 1.0])
    assert not bug.is_right([0.0, "NaN"])
    assert not bug.is_right([0.0, 1.0001])
    assert not bug.is_right([0.0])


def test_the_record_is_written_whole(tmp_path, monkeypatch, capsys):
    path = tmp_path / "before.json"
    monkeypatch.setattr(sys, "argv", ["record", str(path)])
    monkeypatch.setattr(time_machine, "record", lambda: {"bugs": ["√"]})
    main()
    assert json.loads(path.read_text("utf-8")) == {"bugs": ["√"]}
    monkeypatch.setattr(sys, "argv", ["record"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "usage: record FILE\n"
