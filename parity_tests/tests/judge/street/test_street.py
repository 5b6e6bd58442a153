"""The street: verdicts on attention as people write it.

The right verdicts come from `street/*/expected.csv`, which
`street/test_street_truth.py` holds against PyTorch's own attention.
"""

import csv
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from parity_tests import bug_zoo
from parity_tests.judge.attention.conventions import NOTHING_DECLARED
from parity_tests.judge.candidate.host import Host
from parity_tests.judge.files.judging import judge_candidates
from parity_tests.judge.files.remote import Limits, Remote
from parity_tests.judge.verdict.loop import Budget
from parity_tests.tests.judge.street.dresses import dresses

STREET = Path(__file__).parent
BUGS = sorted(p.stem for p in Path(bug_zoo.__path__[0]).glob("[!_]*.py"))
# Verdict and cause alone are looked at, and no smaller input is sought.
BUDGET = Budget(10, shrunk=0)
HOSTILE = "forge_answers.py"  # is run in a process of its own

# What is not judged, and so neither rejected nor passed.
OPEN = {
    "seen/one_step_with_cache.py": "a query of a batch without its axis",
    "seen/parameters_of_layers.py": "a tree of parameters, as for JAX",
    "unseen/tiny_gpt2.py": "layers as dicts of w and b",
}


def rows(folder: str) -> list[dict]:
    path = STREET / folder / "expected.csv"
    with path.open(encoding="utf-8", newline="") as table:
        return [row | {"folder": folder} for row in csv.DictReader(table)]


def named(row: dict) -> str:
    return f"{row['folder']}/{row['file']}"


@cache
def reports(path: Path) -> tuple:
    """The reports on one file, or why there are none."""
    host = Remote(path, Limits(60)) if path.name == HOSTILE else Host()
    try:
        answer = host.load(str(path), 20.0)
        if "error" in answer:
            return (answer["error"]["text"],)
        things = answer["things"]
        return tuple(
            judge_candidates(host, things, None, NOTHING_DECLARED, BUDGET)
        )
    except ValueError as error:  # nothing to be judged
        return (str(error),)
    finally:
        if isinstance(host, Remote):
            host.close()


def verdict_on(row: dict) -> str:
    """holds, rejected or not judged, of what the row is about."""
    every = row["name"] in ("any", "all")
    verdicts = {
        report.verdict.removesuffix(" where asked")
        for report in reports(STREET / row["folder"] / row["file"])
        if not isinstance(report, str)
        and (every or report.name == row["name"])
    }
    if "rejected" in verdicts:
        return "rejected"
    return "holds" if verdicts == {"holds"} else "not judged"


def is_right(row: dict) -> bool:
    """Whether the verdict is what the table says: its first words, or
    either side of an "or"."""
    wanted = row["verdict"].split(" with ")[0].split(" (")[0]
    return verdict_on(row) in wanted.split(" or ")


CASES = rows("cases")


@pytest.mark.slow
@pytest.mark.parametrize("row", CASES, ids=named)
def test_each_kind_of_fault_is_mended(row):
    assert is_right(row), reports(STREET / row["folder"] / row["file"])


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["seen", "unseen"])
def test_no_verdict_is_false(folder, capsys):
    table = rows(folder)
    wrong = [named(row) for row in table if not is_right(row)]
    assert [name for name in wrong if name not in OPEN] == []
    judged = [row for row in table if verdict_on(row) != "not judged"]
    assert len(judged) >= 0.8 * len(table)
    causes = Counter(
        next(r.cause for r in found if not isinstance(r, str) and r.failed)
        is not None
        for row in table
        if verdict_on(row) == "rejected"
        for found in [reports(STREET / folder / row["file"])]
    )
    with capsys.disabled():
        print(
            f"\n{folder}: {len(table)} files, {len(judged)} judged, "
            f"none falsely; causes: {causes[True]} named, "
            f"{causes[False]} unknown"
        )
    assert causes[True] >= 0.75 * causes.total()


MORE = rows("more")


@pytest.mark.slow
@pytest.mark.parametrize("row", MORE, ids=named)
def test_what_was_met_later_gets_its_verdict_and_its_cause(row):
    (report,) = reports(STREET / row["folder"] / row["file"])
    assert report.verdict == row["verdict"], report
    assert (report.cause or "") == row["cause"], report


# --- the zoo in other dresses --------------------------------------------

# What the dress leaves of a bug cannot be seen, and why.
UNSEEN = {
    "cache_offset_forgotten": "layers are not asked for fewer queries",
    "masked_row_gets_the_mean": "a convention, where no zeros are promised",
}


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
def test_no_bug_passes_in_another_dress(bug, tmp_path):
    for dress, source in dresses(bug).items():
        path = tmp_path / f"{dress}.py"
        path.write_text(source, encoding="utf-8")
        verdicts = {
            report.verdict
            for report in reports(path)
            if not isinstance(report, str)
        }
        passed = verdicts and verdicts <= {"holds"}
        assert bug in UNSEEN or not passed, dress
