"""`twice check`: files of every kind, and what is printed of them."""

import csv
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest

from parity_tests import bug_zoo
from parity_tests.judge.files import judging
from study.check import command
from study.check.judged import (
    JudgedFile,
    Request,
    is_open,
    judge_file,
    no_file,
    with_advice,
)
from study.check.printable import cell, printable
from study.check.printing import (
    headline,
    print_csv,
    print_report,
    print_table,
    rows,
)
from study.check.process import judge_files

ZOO = Path(bug_zoo.__path__[0])
GOOD = """
import numpy as np
print("LOUD" * 9)
def scaled_dot_product_attention(query, key, value, mask):
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
    scores = np.where(mask, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    powers = np.exp(scores - np.where(top == -np.inf, 0, top))
    total = powers.sum(-1, keepdims=True)
    return powers / np.where(total == 0, 1, total) @ value
"""
NO_SCALE = GOOD.replace(" / query.shape[-1] ** 0.5", "")
SHORT = """
def scaled_dot_product_attention(query, key, value):
    {}
"""
REQUEST = Request(examples=4)


def written(folder: Path, text: str, name: str = "submission.py") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> list[JudgedFile]:
    """A good file, a wrong one, and one of the zoo, in two judges."""
    folder = tmp_path_factory.mktemp("files")
    paths = [
        written(folder, GOOD, "good.py"),
        written(folder, NO_SCALE, "no_scale.py"),
        ZOO / "one_future_key.py",
    ]
    return judge_files(paths, REQUEST)


@pytest.mark.slow
def test_what_is_right_holds_and_what_is_not_is_rejected(judged):
    assert [file.verdict for file in judged] == [
        *("holds", "rejected", "rejected")
    ]
    causes = [file.reports[0]["cause"] for file in judged]
    assert causes == [
        None,
        "the scale is missing",
        "one future position is visible",
    ]


# --- a report ------------------------------------------------------------


def printed(file: JudgedFile, capsys) -> str:
    print_report(file, plain=True)
    return capsys.readouterr().out


@pytest.mark.slow
def test_what_may_be_a_variant_is_shown_and_accused_of_nothing(
    tmp_path, capsys
):
    source = UNSCALED.replace("def attention", "def cubic_attention")
    source = source.replace(" @ value", " ** 3 @ value")
    path = written(tmp_path, source, "cubic.py")
    file = judge_file(path, REQUEST)
    out = printed(file, capsys)
    assert "cubic_attention, as attention: NOT JUDGED\n" in out
    assert "  DIFFERS equals_the_definition\n" in out
    assert "--as" in out
    assert "likely cause" not in out
    assert command.exit_code([file]) == 2
    meant = judge_file(path, replace(REQUEST, role="attention"))
    out = printed(meant, capsys)
    assert "  FAILS equals_the_definition\n" in out
    assert "likely cause: unknown" in out
    assert command.exit_code([meant]) == 1


@pytest.mark.slow
def test_the_report_of_what_is_right(judged, capsys):
    out = printed(judged[0], capsys)
    first = out.split("\n")[0]
    assert first.startswith("scaled_dot_product_attention, as attention: ")
    assert first.endswith(" properties that it was asked hold")
    assert "not asked: a causal form: it has none" in out
    assert "its output (37 bytes) is not shown" in out
    assert "LOUD" not in out
    assert "0 fail" in out
    assert "with a bound too wide" in out
    assert "a fully masked row gets          zeros" in out
    assert "was run in a process of its own" in " ".join(out.split())


UNSCALED = """
import numpy as np


def attention(query, key, value):
    scores = query @ key.swapaxes(-2, -1)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True) @ value
"""


@pytest.mark.slow
def test_another_reference_is_what_counts(twice, tmp_path):
    mine, trusted = tmp_path / "mine.py", tmp_path / "trusted.py"
    for path in (mine, trusted):
        path.write_text(UNSCALED, encoding="utf-8")
    beside = f"--reference={trusted}:attention"
    few = ("--examples", 4, "--text")
    assert twice("check", *few, mine)[0] == 1
    code, out, err = twice("check", *few, beside, mine)
    assert (code, err) == (0, ""), out
    assert "the reference itself is not softmax" in out
    code, _, err = twice(
        "check", *few, f"--reference={trusted}:other", mine
    )
    assert code == 2
    assert twice("check", "--reference=nowhere.py:f", mine)[0] == 2


@pytest.mark.slow
def test_the_report_of_what_is_wrong_begins_with_what_tells_most(
    judged, capsys
):
    out = printed(judged[1], capsys)
    parts = [
        "as attention: REJECTED",
        "FAILS equals_the_definition",
        "The output is softmax(Q Kᵀ / √d) V",
        "rounding allows a difference of",
        "likely cause: the scale is missing",
        "import numpy as np",
        "not asked:",
        "conventions detected",
    ]
    places = [out.index(part) for part in parts]
    assert places == sorted(places)
    assert out[: places[-1]].count("\n") < 50  # the first screen


@pytest.mark.slow
@pytest.mark.parametrize("index", [1, 2])
def test_its_script_prints_the_wrong_number_without_this_project(
    judged, index, monkeypatch
):
    failure = failure_of(judged[index].reports[0])
    path = judged[index].path
    script = failure["script"]
    assert str(path.stem) in script
    assert "parity_tests.judge" not in script
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.delitem(sys.modules, path.stem, raising=False)
    output = io.StringIO()
    with redirect_stdout(output):
        exec(script, {})
    number = float(output.getvalue().split("\n")[-2])
    assert number == pytest.approx(failure["got"], rel=1e-6)
    assert number != pytest.approx(failure["expected"], rel=1e-6)
    assert script.rstrip().endswith(f"expected {failure['expected']}")


LAYER = """
import torch
from torch import nn
class SelfAttention(nn.Module):
    def __init__(self, d_in, d_out):
        super().__init__()
        self.W_query = nn.Linear(d_in, d_out, bias=False)
        self.W_key = nn.Linear(d_in, d_out, bias=False)
        self.W_value = nn.Linear(d_in, d_out, bias=False)
    def forward(self, x):
        scores = self.W_query(x) @ self.W_key(x).mT
        return scores.softmax(-1) @ self.W_value(x)
"""
STEP = """
import numpy as np
def gelu(x):
    return x * (x > 0)
"""


WITHOUT_WEIGHTS = """
import torch
class ScaledDotProductAttention(torch.nn.Module):
    def __init__(self, temperature):
        super().__init__()
        self.temperature = temperature
    def forward(self, q, k, v):
        return (q @ k.mT / self.temperature).softmax(-2) @ v
"""
ITS_SIZES = """(self, d_in, d_out):
        super"""
CONFIGURED = LAYER.replace(
    ITS_SIZES,
    """(self, cfg):
        d_in, d_out = cfg.d_in, cfg.d_out
        super""",
)
OWN_CLASS = "class Config:\n    d_in, d_out = 5, 4\n" + CONFIGURED.replace(
    "cfg)", "cfg: Config)"
)
CUT = LAYER.replace(".mT", ".mT.detach() / self.W_key.out_features**0.5")
STREET = Path(__file__).with_name("street")
IN_A_LIST, IN_WINDOWS, LEARNED = (
    (STREET / f"{name}.py").read_text(encoding="utf-8")
    for name in (
        "cases/heads_scaled_by_the_model",
        "more/windows_wrong_scale",
        "more/learned_scale_wrong_axis",
    )
)
BY_KEY = CONFIGURED.replace(
    "cfg.d_in, cfg.d_out", "cfg['d_in'], cfg['d_out']"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        *(LAYER, STEP, WITHOUT_WEIGHTS, CONFIGURED, OWN_CLASS, BY_KEY),
        *(CUT, IN_A_LIST.partition("class MultiHead")[0], IN_A_LIST),
        *(IN_WINDOWS, LEARNED),
    ],
    ids=[
        *("layer", "step", "no weights"),
        *("configured", "own class", "by key", "a gradient only"),
        *("a head", "heads in a list"),
        *("windows", "a learned scale"),
    ],
)
def test_so_does_that_of_a_layer_and_of_a_step(tmp_path, text, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "other", raising=False)
    path = written(tmp_path, text, "other.py")
    *_, report = judge_file(path, Request(examples=2)).reports
    assert report["verdict"] == "rejected"
    failure = failure_of(report)
    output = io.StringIO()
    with redirect_stdout(output):
        exec(failure["script"], {})
    number = float(output.getvalue().split("\n")[-2])
    assert number == pytest.approx(failure["got"], rel=1e-6)


@pytest.mark.slow
def test_its_numbers_are_integers_and_halves(judged):
    script = failure_of(judged[1].reports[0])["script"]
    scope = {}
    arrays = script.split("\n\n")[1].rpartition("\noutput")[0]
    exec("import numpy as np\n" + arrays, scope)
    for name in ("query", "key", "value"):
        assert (2 * scope[name] % 1 == 0).all()


def failure_of(report: dict) -> dict:
    failures = [f["failure"] for f in report["findings"] if f["failure"]]
    return failures[0]


@pytest.mark.slow
def test_the_width_is_that_of_the_terminal(judged, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    lines = printed(judged[1], capsys).split("\n")
    prose = [line for line in lines if line.startswith("  fails, too")]
    assert prose
    assert all(len(line) <= 50 for line in prose)


@pytest.mark.slow
def test_colours_are_for_terminals(judged, capsys, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    print_report(judged[1])
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    print_report(judged[1])
    assert "\x1b[" in capsys.readouterr().out
    print_report(judged[1], plain=True)
    assert "\x1b" not in capsys.readouterr().out


# --- several files -------------------------------------------------------


@pytest.mark.slow
def test_several_files_are_lines_or_csv(judged, capsys):
    print_csv(judged)
    header, good, *bad = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == [
        *("path", "what", "verdict", "cause or reason"),
        *("asked", "held", "failed"),
    ]
    assert good[2:4] == ["holds", ""]
    assert good[4] == good[5] != "0"
    assert good[6] == "0"
    assert [row[3] for row in bad] == [
        "the scale is missing",
        "one future position is visible",
    ]
    print_table(judged, plain=True)
    out = capsys.readouterr().out
    assert "attention: REJECTED: one future position is visible\n" in out
    assert "3 files: 1 holds, 2 rejected\n" in out


@pytest.mark.slow
def test_on_a_terminal_they_are_a_table(judged, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    print_table(judged)
    out = capsys.readouterr().out
    assert "cause or reason" in out
    assert "┃" in out


def test_what_is_foreign_is_made_printable():
    assert printable("\x1b[2J\u202e\ud800 √\n[b]") == (
        "\\x1b[2J\\u202e\\ud800 √ [b]"
    )
    assert printable("x" * 9, 5) == "xxxxx…"
    for formula in ("=cmd()", "+1", "-1", "@a", " =1", "\t=1"):
        assert cell(formula).startswith("'")
    assert cell("a=1") == "a=1"


# --- the command ---------------------------------------------------------


def test_the_command_has_exit_codes_and_json(twice, tmp_path):
    arguments = "--examples", 2, "--json", "--seed", 5
    code, out, _ = twice("check", *arguments, written(tmp_path, GOOD))
    assert code == 0
    (file,) = json.loads(out)
    assert file["verdict"] == file["reports"][0]["verdict"] == "holds"
    path = ZOO / "scale_without_root.py"
    runs = [json.loads(twice("check", *arguments, path)[1]) for _ in "ab"]
    for (file,) in runs:
        del file["seconds"]
    assert runs[0] == runs[1]
    (report,) = runs[0][0]["reports"]
    assert (
        report["cause"] == "the scale is 1/d, not 1/√d, as if applied twice"
    )
    failure = failure_of(report)
    assert failure["expected"] != failure["got"]


@pytest.mark.slow
def test_json_has_infinity_as_a_text(twice):
    """The input may not change at all: any change is too large."""
    path = ZOO / "inputs_changed.py"
    code, out, _ = twice("check", "--examples", 2, "--json", path)
    assert code == 1
    (file,) = json.loads(out)
    shares = [f["share"] for f in file["reports"][0]["findings"]]
    assert "inf" in shares


@pytest.mark.parametrize(
    ("verdicts", "findings", "code"),
    [
        (["holds"], ["holds"], 0),
        (["holds where asked"], ["holds", "not judged"], 0),
        (["holds where asked"], ["holds", "raised"], 2),
        (["holds where asked"], ["holds", "no time"], 2),
        (["holds", "not judged"], [], 2),
        (["not judged", "rejected"], [], 1),
        ([], [], 2),
    ],
)
def test_the_exit_code_is_1_only_for_what_is_rejected(
    verdicts, findings, code
):
    reports = [
        {"verdict": v, "findings": [{"verdict": f} for f in findings]}
        for v in verdicts
    ]
    file = JudgedFile(Path("a.py"), reports)
    assert command.exit_code([file]) == code
    assert command.exit_code([file, file]) == code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py"], "expected a file, got nowhere.py"),
        (["."], "expected at least one file, got only folders"),
        ([ZOO / "no_scale.py", "--as", "x"], "expected --as to be one of"),
        ([ZOO / "no_scale.py", "--examples", 0], "--examples to be at"),
        ([ZOO / "no_scale.py", "--window", 0], "--window of 1 to 1,024"),
        ([ZOO / "no_scale.py", "--window", 2000], "1,024 keys, got 2000"),
        ([ZOO / "no_scale.py", "--soft-cap", -5], "above 0, got -5"),
        ([ZOO / "no_scale.py", "--timeout", 0], "--timeout to be finite"),
        ([ZOO / "no_scale.py", "--timeout", -2], "above 0, got -2"),
        ([ZOO / "no_scale.py", "--timeout", "nan"], "above 0, got nan"),
        ([ZOO / "no_scale.py", "--memory", 0], "--memory to be finite"),
        ([ZOO / "no_scale.py", "--memory", -1], "above 0, got -1"),
        ([ZOO / "no_scale.py", "--csv", "--json"], "or --csv, got both"),
        (
            [ZOO / "no_scale.py", "--csv", "--json", "--text"],
            "--text, --json or --csv, got all",
        ),
    ],
)
def test_wrong_use_ends_in_one_line(twice, arguments, message):
    code, _, err = twice("check", *arguments)
    assert code == 2
    assert err.startswith("twice: ")
    assert err.count("\n") == 1
    assert message in err


def test_what_the_judge_lacks_is_named_with_its_extra(twice, monkeypatch):
    monkeypatch.setattr(
        command, "find_spec", lambda name: None if name == "mpmath" else 1
    )
    code, _, err = twice("check", ZOO / "no_scale.py")
    assert code == 2
    assert 'pip install "attention-twice[test]"' in err


@pytest.mark.slow
def test_without_docstrings_it_is_refused_in_one_line(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-OO",
            "-m",
            "study",
            "check",
            ZOO / "no_scale.py",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("twice: expected Python without -OO")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_line_for_each_file_tells_how_far_it_is(twice, tmp_path):
    paths = [written(tmp_path, "x = 1", f"{n}.py") for n in "ab"]
    code, out, err = twice("check", *paths, tmp_path, "nowhere.py", "--csv")
    assert code == 2
    assert err.count("\n") == 3
    assert "3/3 " in err
    assert [row.split(",")[2] for row in out.splitlines()[1:]] == [
        "not judged"
    ] * 3


# --- what is not judged --------------------------------------------------


def report_of(path: Path, **request) -> dict:
    (report,) = judge_file(path, Request(examples=2, **request)).reports
    return report


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        ("raise KeyError('x')", "it raised KeyError: 'x' (line 3)"),
        ("raise SystemExit(1)", "it raised SystemExit: 1 (line 3)"),
        ("return max(map(len, 3))", "not iterable (line 3)"),
        ("return 'x'", "it returned 'x', expected shape"),
        ("return value.T", "it returned shape"),
        ("import einops_", "install einops_, and it can be judged"),
        ("open('weights.bin')", "put weights.bin where the file looks"),
        ("raise RuntimeError('no CUDA GPU')", "let it choose its device"),
        ("return query @ W", "nothing at the top of the file sets W"),
    ],
)
def test_what_raises_is_not_judged_and_what_would_help_is_said(
    tmp_path, line, trouble
):
    report = report_of(written(tmp_path, SHORT.format(line)))
    assert report["verdict"] == "not judged"
    assert trouble in report["trouble"]


@pytest.mark.slow
def test_a_name_that_is_missing_is_explained_by_what_did_not_run(tmp_path):
    head = "W = open('weights.bin').read()\n"
    guard = "if __name__ == '__main__':\n    d_k = 3\n"
    body = SHORT.format("return query @ {}")
    report = report_of(written(tmp_path, head + body.format("W")))
    assert "line 1: FileNotFoundError" in report["trouble"]
    assert "`W` is not defined" in report["trouble"]
    report = report_of(written(tmp_path, guard + body.format("d_k")))
    assert report["trouble"].endswith(
        "set under the main guard, which is not run: d_k"
    )


def test_advice_is_given_where_there_is_some():
    assert with_advice(None, []) is None
    assert with_advice("it is odd", []) == "it is odd"
    assert "--timeout" in with_advice("there was no answer within 2 s", [])
    assert "--memory" in with_advice("raised MemoryError", [])
    assert "without a network" in with_advice("raised URLError", [])


def test_a_file_in_which_nothing_can_be_judged_says_what_it_has(tmp_path):
    judged = judge_file(written(tmp_path, "def helper(): 1"), REQUEST)
    assert judged.verdict == "not judged"
    assert judged.others == ["helper"]
    assert "helper; say what it is with --as" in judged.trouble
    judged = judge_file(written(tmp_path, "1 / 0"), REQUEST)
    assert "got nothing" in judged.trouble
    assert judged.notes == ["line 1: ZeroDivisionError: division by zero"]


def test_what_is_set_under_the_main_guard_is_no_fault_of_running(tmp_path):
    guard = "if __name__ == '__main__':\n    X = 3\n1 / 0\n"
    judged = judge_file(written(tmp_path, guard), REQUEST)
    assert judged.notes == ["line 3: ZeroDivisionError: division by zero"]


def test_what_is_no_python_is_not_judged(tmp_path):
    path = written(tmp_path, "some words", "notes.txt")
    judged = judge_file(path, REQUEST)
    assert judged.trouble == (
        "expected a Python file or a notebook, got notes.txt"
    )


def test_what_does_not_fit_into_memory_is_not_judged(tmp_path):
    path = written(tmp_path, "x = 1")
    os.truncate(path, 2**31)
    judged = judge_file(path, Request(gigabytes=0.5))
    assert judged.trouble == "MemoryError; --memory allows it more"


def test_without_fork_nothing_is_judged(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "fork")
    judged = judge_file(written(tmp_path, GOOD), REQUEST)
    assert judged.verdict == "not judged"
    assert (
        judged.trouble == "expected a system with fork, as Linux or macOS"
    )


@pytest.mark.slow
def test_a_reference_that_cannot_be_run_is_named(tmp_path):
    trusted = written(tmp_path, "def attention(", "trusted.py")
    request = Request(reference=f"{trusted}:attention")
    judged = judge_file(written(tmp_path, GOOD), request)
    assert judged.verdict == "not judged"
    assert judged.trouble.startswith("the reference: expected Python 3.")


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    assert "a pipe or a device" in no_file(tmp_path / "pipe.py")
    assert "a folder" in no_file(tmp_path)
    assert "does not exist" in no_file(tmp_path / "none.py")
    assert no_file(tmp_path / ("n" * 300)).startswith("expected a file")
    assert no_file(Path("\0")).startswith("expected a file")
    assert no_file(written(tmp_path, "")) is None


def test_rows_and_headlines_tell_what_was_asked():
    finding = {"verdict": "holds", "trouble": ""}
    raised = {"verdict": "raised", "trouble": "raised ValueError: no"}
    report = {
        "name": "attention",
        "verdict": "holds where asked",
        "cause": None,
        "trouble": None,
        "findings": [finding, finding, raised],
    }
    assert headline(report) == "holds where asked (2 of 3 properties)"
    assert is_open(report)
    (row,) = rows([JudgedFile(Path("a.py"), [report])])
    assert row[3:] == ("raised ValueError: no", "3", "2", "0")


@pytest.mark.slow
def test_a_failure_of_the_judge_itself_is_no_verdict(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr("study.check.judged.Judging.run", fail)
    judged = judge_file(written(tmp_path, GOOD), REQUEST)
    assert judged.verdict == "not judged"
    assert "the judge itself failed: RuntimeError: broken" in judged.trouble


@pytest.mark.slow
def test_a_failure_of_the_judge_after_a_verdict_is_said(
    tmp_path, monkeypatch
):
    judge_thing = judging.judge_thing

    def failing(host, thing, *rest):
        if thing.name == "attention":
            raise ValueError("no such shape")
        return judge_thing(host, thing, *rest)

    monkeypatch.setattr(judging, "judge_thing", failing)
    text = f"{GOOD}\nattention = scaled_dot_product_attention"
    judged = judge_file(written(tmp_path, text), REQUEST)
    right, failed = judged.reports
    assert right["verdict"] == "holds"
    assert failed["name"] == "attention"
    assert failed["verdict"] == judged.verdict == "not judged"
    assert (
        "the judge itself failed: ValueError: no such" in failed["trouble"]
    )
    partly = [{"verdict": "holds where asked", "findings": []}]
    judged = JudgedFile(Path("a.py"), partly, trouble="lost")
    assert judged.verdict == "not judged"
