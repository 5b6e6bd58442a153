"""Races: who runs when, what follows from the times, and what is shown."""

import json
import os
import sys

import numpy as np
import pytest

from benchmarks import machine, memory, tables
from benchmarks.growth import exponent, lines
from benchmarks.machine import Machine, too_much_taken, why_too_busy
from benchmarks.measuring import measure
from benchmarks.races import (
    SHORT,
    WARM_UP,
    Race,
    Row,
    run,
    seconds_a_token,
)
from benchmarks.report import about, as_json, in_full, table_of

MACHINE = Machine(
    *("A processor", 2, {"NumPy": 2, "PyTorch": 2}, {"numpy": "2.4.6"}),
    *(100e9, 10 * 2**30, {}),
)


def noted(calls: list, side: str, seconds: list[float]):
    """A side that says when it was called, and takes as long as told."""
    left = iter(seconds)

    def work(*prepared):
        calls.append((side, prepared))
        return next(left)

    return work


def race_of(ours, theirs, calls, **other) -> Race:
    sides = {"a": noted(calls, "a", ours), "b": noted(calls, "b", theirs)}
    return Race("work", sides, timed=lambda work, *p: work(*p), **other)


def test_sides_take_turns_and_the_first_rounds_do_not_count():
    calls = []
    race = race_of([9, 9, 1, 2, 3], [9, 9, 2, 2, 2], calls)
    row = run(race, rounds=3)
    assert "".join(side for side, _ in calls) == "abbaabbaab"
    assert row.times == {"a": [1, 2, 3], "b": [2, 2, 2]}
    assert row.ratios == [0.5, 1.0, 1.5]
    assert WARM_UP == 2


def test_short_work_wakes_its_threads_first():
    calls, short = [], [SHORT / 2] * 20
    run(race_of(short, short, calls), rounds=1, pause=1e-3)
    assert "".join(side for side, _ in calls) == "abbbaaaabb"


def test_each_round_prepares_once_for_all_sides():
    calls, batches = [], iter("xyz")
    race = race_of(
        *([1] * 3, [1] * 3, calls),
        prepare=lambda: [next(batches)],
        most_rounds=1,
    )
    run(race, rounds=5, pause=0)
    assert [prepared for _, prepared in calls] == [
        *[("x",)] * 2,
        *[("y",)] * 2,
        *[("z",)] * 2,
    ]


def test_a_token_is_timed_from_the_first_one_on(monkeypatch):
    clock = iter([10.0, 16.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert seconds_a_token(lambda: iter("abcd")) == 2.0


def test_what_limits_everybody_most_is_the_limit():
    limits = MACHINE.limits(operations=200e9, bytes_read=10 * 2**30)
    assert limits == {"products": 2.0, "memory": 1.0}
    row = Row("work", {"a": [4.0, 5.0, 9.0]}, limits=limits)
    assert row.limit == ("products", 2.0)
    assert row.share("a") == 0.4
    assert MACHINE.limits(0, 0) == {}
    assert Row("work", {"a": [1.0]}).share("a") is None
    assert Row("work", {"a": [1.0]}).ratios == []


def test_peak_memory_is_what_a_call_adds(monkeypatch):
    inputs = np.ones(3 * 10**6)  # 24 MB

    def side():
        return (inputs + 1) * (inputs + 2)  # two arrays at once

    race = Race("work", {"ours": side})
    monkeypatch.setattr(memory, "races_of", lambda table: [race])
    assert 46 < memory.growth_of_one_call("any", "work", "ours") < 56


def test_a_busy_machine_is_not_believed(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 0, 0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert why_too_busy() == (
        "a load of 3.0 on 2 cores before the first race"
    )
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 0, 0))
    monkeypatch.setattr(machine, "stolen", lambda: 0.25)
    assert why_too_busy() == "others took 25% of the time of one core"
    monkeypatch.setattr(machine, "stolen", lambda: 0.01)
    assert why_too_busy() == too_much_taken(0.0) == ""


def test_what_others_take_is_seen(monkeypatch):
    used = iter([0.0, 0.1])
    monkeypatch.setattr("time.process_time", lambda: next(used))
    assert 0.4 < machine.stolen() < 0.6


def test_exponents_of_exact_powers():
    rows = [
        Row(
            f"{n:,} tokens",
            {"a": [n**2 * 1e-9], "b": [n * 1e-6]},
            peaks={"a": n**1.5},
        )
        for n in (128, 1024, 2048, 16384)
    ]
    times, peaks = lines(rows, "times"), lines(rows, "peaks")
    assert exponent(times["a"]) == pytest.approx(2)
    assert exponent(times["b"]) == pytest.approx(1)
    assert exponent(peaks["a"]) == pytest.approx(1.5)
    assert exponent({128: 1.0, 256: 2.0, 1024: 3.0}) is None


def test_the_table_shows_medians_ratios_shares_and_peaks(capsys):
    from rich.console import Console

    row = Row(
        "1 × 128",
        {"NumPy": [0.004, 0.002, 0.003], "eager": [0.002, 0.002, 0.002]},
        0.85,
        {"products": 0.0015},
        {"NumPy": 12.3, "eager": 45.6},
    )
    Console(width=120).print(table_of("bert", [row]))
    out = capsys.readouterr().out
    for cell in (
        *("3 ms", "2 ms", "1.50", "1.00 - 2.00", "≤ 0.85"),
        *("50% (products)", "12 / 46"),
    ):
        assert f" {cell} " in out
    assert "limit" in out
    Console(width=120).print(table_of("bert", [Row("1", {"a": [1.0]})]))
    assert "ratio" not in capsys.readouterr().out
    assert in_full(row)["ratio"] == 1.5
    assert in_full(row)["shares of the limit"] == {
        "NumPy": 0.5,
        "eager": 0.75,
    }


def test_the_machine_is_named_and_what_made_it_busy():
    told = about(MACHINE, 5, "others took 25% of the time of one core")
    for part in (
        *("A processor, 2 cores", "100 GF/s", "10.0 GiB/s"),
        *("NumPy 2, PyTorch 2", "numpy 2.4.6"),
        "too busy to be believed: others took 25%",
    ):
        assert part in told
    assert "busy" not in about(MACHINE, 5, "")
    json.dumps(as_json(MACHINE, {"bert": []}, ""))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "expected a table: attention, growth, bert"),
        (["heads", "--rounds", 1], "expected --rounds from 2 to 1,000"),
        (["heads", "--out", "a.png"], "expected the table growth"),
        (["growth", "--out", "a.txt"], "expected --out to end with .png"),
    ],
)
def test_wrong_use_is_told_in_one_line(twice, arguments, message):
    code, out, error = twice("bench", *map(str, arguments))
    assert (code, out) == (2, "")
    assert error.startswith(f"twice: {message}")
    assert error.count("\n") == 1


def test_without_a_checkout_it_says_so(twice, monkeypatch):
    for name in [n for n in sys.modules if n.startswith("benchmarks")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "benchmarks", None)
    code, _, error = twice("bench")
    assert code == 2
    assert error.startswith("twice: expected a checkout of the project")


@pytest.mark.slow
@pytest.mark.parametrize("table", tables.TABLES)
def test_every_side_of_every_table_can_be_timed(table):
    names = []
    for race in tables.races_of(table, quick=True):
        row = run(race, rounds=1, pause=0, warm_up=0)
        assert all(times[0] > 0 for times in row.times.values())
        names.append(row.work)
    assert names
    assert len(set(names)) == len(names)


@pytest.mark.slow
def test_a_table_is_measured_with_limits_and_peaks():
    rows, taken = measure(["heads"], MACHINE, 1, quick=True)
    assert 0 <= taken <= 1
    for row in rows["heads"]:
        assert row.peaks.keys() == {"split", "stacked"}
