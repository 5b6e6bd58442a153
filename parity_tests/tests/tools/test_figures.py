"""Figures: texts show what the results file holds, and type no others."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import settings

import study.figures.__main__ as command
from study.figures import measures, timings
from study.figures.marks import marked, substituted
from study.figures.measures import MEASURES, measured, measured_figure
from study.figures.results import (
    Figure,
    Figures,
    Machine,
    read_results,
    write_results,
)
from study.figures.texts import HOUSE, texts

from .numerals import numerals, said

FIGURES = read_results()

# Numerals that are definitions, not measurements, with where they stand.
ALLOWED = {
    ("docs/proofs.md", "1e-10"): "a tolerance: test_end_to_end.py",
    ("docs/proofs.md", "1,000"): "the profile thorough: conftest.py",
    ("docs/proofs.md", "50,000"): "the profile fifty_thousand: conftest.py",
}
# Pages whose numbers are held elsewhere: tables from a benchmark's JSON by
# half/test_half_kernels.py, what is claimed by claims/test_half_precision,
# all else follows from a format's bits.
HELD_ELSEWHERE = ("docs/half_precision.md",)

SIZE = Figure(50257, "", "{value:,}", "2026-11-29", "len")
MACHINE = Machine("Intel Xeon", 2, "10 GB/s")
TIME = Figure(
    *(4.8, "seconds", "{value:.0f} {unit}", "2026-11-29", "twice"),
    MACHINE,
)


def name_of(path) -> str:
    return path.relative_to(HOUSE).as_posix()


EACH_TEXT = pytest.mark.parametrize("path", texts(), ids=name_of)


def text_of(path) -> str:
    return path.read_text(encoding="utf-8")


# --- the texts and the results file --------------------------------------


@EACH_TEXT
def test_a_text_shows_the_figures_of_the_file(path):
    text = text_of(path)
    assert substituted(text, FIGURES) == text


@EACH_TEXT
def test_no_numeral_is_typed_in_prose(path):
    if name_of(path) in HELD_ELSEWHERE:
        return
    allowed = {
        numeral for page, numeral in ALLOWED if page == name_of(path)
    }
    assert [n for n in numerals(text_of(path)) if n not in allowed] == []


@pytest.mark.parametrize("name", MEASURES)
def test_a_figure_is_what_its_function_computes_now(name):
    figure = FIGURES[name]
    now = measured_figure(MEASURES[name], None, today=figure.measured)
    assert figure == now


def wrong_timings(figures: Figures) -> list[str]:
    """The timings without all of machine and date, or not of TIMINGS."""
    return [
        name
        for name, figure in figures.items()
        if name not in MEASURES
        and not (
            name in timings.TIMINGS
            and figure.by == str(timings.TIMINGS[name])
            and figure.machine is not None
            and re.match(r"\d+ GB/s", figure.machine.memory_bandwidth)
            and str(figure).endswith(
                f"({figure.machine}, {figure.measured})"
            )
        )
    ]


def test_every_figure_is_measured_here_and_shown_somewhere():
    shown = {name for path in texts() for name, _ in marked(text_of(path))}
    assert FIGURES.keys() == shown
    assert MEASURES.keys() <= FIGURES.keys()


def test_every_timing_names_its_machine_and_its_date():
    assert wrong_timings(FIGURES) == []


def test_a_timing_without_a_machine_or_a_command_is_found():
    name = "check.one_attention"
    right = replace(TIME, by=str(timings.TIMINGS[name]))
    assert wrong_timings({name: right}) == []
    slow = replace(MACHINE, memory_bandwidth="")
    for wrong in (
        {name: replace(right, machine=None)},
        {name: replace(right, machine=slow)},
        {name: replace(right, by="twice")},
        {"none": right},
    ):
        assert wrong_timings(wrong) == [*wrong]


def test_every_figure_has_a_date():
    for name, figure in FIGURES.items():
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", figure.measured), name


def test_every_allowed_numeral_is_still_there():
    for page, numeral in ALLOWED:
        assert numeral in numerals(text_of(HOUSE / page))


def test_the_profiles_draw_as_many_inputs_as_is_said():
    thorough, many = map(
        settings.get_profile, ("thorough", "fifty_thousand")
    )
    assert thorough.max_examples == 1_000
    assert many.max_examples == 50_000


# --- the finder of numerals -----------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in 12 ms, 3 s", ["12 ms", "3 s"]),
        ("takes about two minutes", ["two minutes"]),
        ("a minute or two", ["a minute"]),
        ("some 5 seconds", ["5 seconds"]),
        ("two\nminutes", ["minutes"]),
        ("10 MB, 1.5 GiB, 20 kB", ["10 MB", "1.5 GiB", "20 kB"]),
        ("17% of it, 40 percent", ["17%", "40 percent"]),
        ("1.7× or 3 times as fast", ["1.7×", "3 times"]),
        ("weights 1/7 and 4/7", ["1/7", "4/7"]),
        ("a ratio of 3:2", ["3:2"]),
        ("4 of 72 heads, 3 out of 4", ["4 of 72", "3 out of 4"]),
        ("0.85 of its weight, 1e-10", ["0.85", "1e-10"]),
        ("| 109,482,240 | 30522 |", ["109,482,240", "30522"]),
        ("22.7M parameters, 124 million", ["22.7M", "124 million"]),
        ("1907 and 2031", ["1907", "2031"]),
        ("2019 ms, 2,019 words", ["2019 ms", "2,019"]),
        ("[50,257 tokens](a.md)", ["50,257"]),
        ("**5,120**, (6,140).", ["5,120", "6,140"]),
        ("a lone ` here\n\n5,000 and `code`", ["5,000"]),
        ("<!--= size -->5,000", ["5,000"]),
        ("> - 12 %\n", ["12 %"]),
    ],
)
def test_a_typed_numeral_is_found(text, expected):
    assert numerals(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Vaswani et al. 2017, Edith Wharton (1908), until 2030",
        "`50,257 tokens` and ``of 12 `ms` or 12 ms``",
        "`a code\nover 5,000 lines`",
        "```text\nat 17% of 4.8e-06\n```",
        "- a list\n  ```sh\n  sleep 1000\n  ```",
        "---\nversion: 1.16\n---\n",
        "<!-- 5,000 -->",
        "<!--= size -->50,257<!--/--> tokens, <!--= s -->2\nms<!--/-->",
        "[Liu](https://arxiv.org/abs/1907.11692) arXiv:1907.11692",
        "https://example.org/12345",
        "Python 3.11, PyTorch 2.13.0, version 1.2, 0.1.0",
        "tokens 1 to 3, 13 tokens, 512 places, 72 heads, GPT-2, float32",
        "## 12. Attention\n\n1. one\n2. the second",
        "softmax(QKᵀ/√d), 1/√d, √2/4, exit code 0; 2 if it raised",
        "at 8 × 128 tokens, some times, three heads of width 16",
    ],
)
def test_what_is_no_measurement_is_let_pass(text):
    assert numerals(text) == []


def test_what_a_cell_says_is_prose_and_its_code_is_not():
    cell = "```{code-cell}\n:tags: [a]\n\n%s\n```\n"
    assert numerals(cell % "x = 50257 / 1000") == []
    assert numerals(cell % 'say(f"{x:,} of {y:.0%}, {z} ms")') == []
    assert numerals(cell % 'say(f"{x} is 12% and " "5,000")') == [
        *("12%", "5,000")
    ]
    options = "```{code-cell}\n---\na:\n  b: 1\n---\nsay('1.5')\n```\n"
    assert list(said(options)) == ["1.5"]


@pytest.mark.parametrize("name", ["from_scratch", "real_bert"])
def test_the_cells_of_the_notebooks_are_read(name):
    text = text_of(HOUSE / f"study/notebooks/{name}.md")
    assert len(list(said(text))) > 10


# --- marks ----------------------------------------------------------------


def test_a_figure_that_is_otherwise_is_put_right():
    text = "of <!--= size -->50,256<!--/--> in <!--= time -->1 s<!--/-->."
    assert substituted(text, {"size": SIZE, "time": TIME}) == (
        "of <!--= size -->50,257<!--/--> in <!--= time -->5 seconds "
        "(Intel Xeon, 2 cores, 2026-11-29)<!--/-->."
    )


def test_a_figure_over_two_lines_stays_while_it_is_true():
    text = str(TIME).replace(" cores", "\ncores")
    text = f"in <!--= time -->{text}<!--/-->"
    assert marked(text) == [("time", str(TIME))]
    assert substituted(text, {"time": TIME}) == text
    later = replace(TIME, value=6.0)
    assert "6 seconds (Intel Xeon, 2 cores" in substituted(
        text, {"time": later}
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a <!--= siz -->1<!--/-->",
            "expected a figure: size, time, got siz",
        ),
        (
            "a <!--= size -->1",
            "expected <!--= name -->figure<!--/-->, got one half, "
            "<!--= size -->",
        ),
        (
            "a 1<!--/-->",
            "expected <!--= name -->figure<!--/-->, got one half, <!--/-->",
        ),
        (
            "a <!-- = size -->1<!--/-->",
            "expected <!--= name -->figure<!--/-->, got one half, "
            "<!-- = size -->",
        ),
        *(
            (
                f"{start}<!--= size -->50,257<!--/--> tokens",
                "expected a word before a marked figure in its line, "
                "got none",
            )
            for start in ("", "of\n", "  ", "- ", "1. ", "> ")
        ),
    ],
)
def test_a_wrong_mark_is_refused(text, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        substituted(text, {"size": SIZE, "time": TIME})


# --- measuring and writing ------------------------------------------------


def test_the_results_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "figures.json"
    write_results({"time": TIME, "size": SIZE}, path)
    assert read_results(path) == {"size": SIZE, "time": TIME}
    assert [*json.loads(path.read_text())] == ["size", "time"]


def test_an_equal_value_keeps_its_date_and_a_timing_stays(monkeypatch):
    monkeypatch.setattr(
        *(measures, "MEASURES"),
        {
            "size": measures.counted(len, "ab"),
            "new": MEASURES["bert.parameters"],
        },
    )
    old = Figure(2, "", "{value:,}", "2020-01-01", "builtins.len('ab')")
    after = measured({"size": old, "time": TIME, "gone": SIZE})
    assert after.keys() == {"size", "new", "time"}
    assert after["size"] == old
    assert after["time"] == TIME
    changed = measured({"size": replace(old, value=3)})["size"]
    assert changed.value == 2
    assert changed.measured > "2020-01-01"


def test_a_timing_is_the_fastest_of_its_runs(monkeypatch):
    seconds = iter([9.0, 7.04, 8.0, 8.5, 7.5])
    monkeypatch.setattr(timings, "seconds_of", lambda _: next(seconds))
    monkeypatch.setattr(timings, "this_machine", lambda: MACHINE)
    monkeypatch.setattr(timings.os, "getloadavg", lambda: (0.4, 9, 9))
    figure = timings.timed("check.one_attention")
    assert figure.value == 7.0
    assert str(figure).startswith("7 seconds (Intel Xeon, 2 cores, 20")
    assert figure.by.startswith("twice check parity_tests/")


def test_a_busy_machine_times_nothing(monkeypatch):
    monkeypatch.setattr(timings.os, "getloadavg", lambda: (8.3, 0, 0))
    monkeypatch.setattr(timings.os, "cpu_count", lambda: 2)
    message = "expected an idle machine, with a load of at most 1, got 8.3"
    with pytest.raises(ValueError, match=f"^{message}$"):
        timings.timed("check.one_attention")


def test_a_timing_is_refused_that_is_unknown_or_fails():
    with pytest.raises(ValueError, match=r"^expected a timing: check\.o"):
        timings.timed("none")
    wrong = timings.Timing(("check", "none.py"))
    with pytest.raises(
        ValueError, match=r"^expected twice check none\.py to end with "
    ):
        timings.seconds_of(wrong)


def test_texts_are_written_all_or_none(tmp_path, monkeypatch):
    first, second = tmp_path / "a.md", tmp_path / "b.md"
    first.write_text("a <!--= size -->1<!--/-->")
    second.write_text("a <!--= none -->1<!--/-->")
    monkeypatch.setattr(command, "texts", lambda: [first, second])
    monkeypatch.setattr(command, "HOUSE", tmp_path)
    with pytest.raises(ValueError, match="got none"):
        command.write_texts({"size": SIZE})
    assert first.read_text() == "a <!--= size -->1<!--/-->"
    second.write_text("none")
    command.write_texts({"size": SIZE})
    assert first.read_text() == "a <!--= size -->50,257<!--/-->"


@pytest.mark.parametrize("words", [[], ["--time", "none"]])
def test_the_command_refuses_wrong_use(words, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(words)
    assert stop.value.code == 2
    assert "expected" in capsys.readouterr().err
