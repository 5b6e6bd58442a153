"""`twice check`: submissions of every kind, in their own processes."""

import csv
import io
import json
from pathlib import Path

import pytest

from parity_tests import bug_zoo
from parity_tests.judge.files.worker import judge_file
from study.check.printing import print_csv, print_report, print_table
from study.check.process import JudgedFile, Limits, judge_files
from study.command import missing

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
SHORT = """
def scaled_dot_product_attention(query, key, value):
    {}
"""
REQUEST = {
    "role": None,
    "array": None,
    "mask": None,
    "alignment": None,
    "fully_masked_row": None,
    "examples": 4,
    "seconds": 60,
    "seed": 0,
}


def written(folder: Path, text: str, name: str = "submission.py") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> list[JudgedFile]:
    """A good file and two of the zoo, by the real processes."""
    good = written(tmp_path_factory.mktemp("files"), GOOD)
    paths = [good, ZOO / "no_scale.py", ZOO / "one_future_key.py"]
    return judge_files(paths, REQUEST, Limits(60, 4))


def test_what_is_right_holds_and_what_is_not_does_not(judged):
    assert [one.holds for one in judged] == [True, False, False]
    causes = [one.reports[0]["cause"] for one in judged]
    assert causes == [
        None,
        "the scale is missing",
        "one future position is visible",
    ]


def test_the_report_of_what_is_right(judged, capsys):
    print_report(judged[0])
    out = capsys.readouterr().out
    assert "was run in a process of its own" in out
    assert "its output (37 bytes) is not shown" in out
    assert "LOUD" not in out
    assert (
        "scaled_dot_product_attention, as attention: all properties hold"
        in out
    )
    assert "0 fail" in out
    assert "with a bound too wide to check" in out
    assert "a fully masked row gets          zeros" in out


def test_the_report_of_what_is_not_right(judged, capsys):
    print_report(judged[1])
    out = capsys.readouterr().out
    assert "likely cause: the scale is missing" in out
    assert "FAILS equals_the_definition" in out
    assert "The output is softmax(Q Kᵀ / √d) V" in out
    lines = out.split("import numpy as np\n")[1].split("    context")[0]
    scope = {}
    pasted = "\n".join(line[6:] for line in lines.split("\n"))
    exec("import numpy as np\n" + pasted, scope)
    assert scope["query"].dtype == scope["value"].dtype
    assert scope["mask"].dtype == bool


def test_several_files_are_rows_of_a_table_or_of_csv(judged, capsys):
    print_csv(judged)
    header, good, *bad = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header[:3] == ["file", "what", "verdict"]
    assert good[2:] == ["all properties hold", "", "0"]
    assert [row[3] for row in bad] == [
        "the scale is missing",
        "one future position is visible",
    ]
    print_table(judged)
    assert "one future" in capsys.readouterr().out


def test_the_command_has_exit_codes_and_json(twice, tmp_path):
    arguments = "--examples", 2, "--json", "--seed", 5
    code, out, _ = twice("check", *arguments, written(tmp_path, GOOD))
    assert code == 0
    assert json.loads(out)[0]["reports"][0]["verdict"] == "holds"
    runs = [
        twice("check", *arguments, ZOO / "scale_without_root.py")
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert runs[0][0] == 1
    (report,) = json.loads(runs[0][1])[0]["reports"]
    assert report["cause"] == "the scale is 1/d, not 1/√d"
    failures = [f["failure"] for f in report["findings"] if f["failure"]]
    assert failures[0]["expected"] != failures[0]["got"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py"], "expected a file, got nowhere.py"),
        ([ZOO / "no_scale.py", "--as", "x"], "expected --as to be one of"),
        ([ZOO / "no_scale.py", "--examples", 0], "--examples to be at"),
        ([ZOO / "no_scale.py", "--timeout", 0], "--timeout to be finite"),
        ([ZOO / "no_scale.py", "--timeout", -2], "above 0, got -2"),
        ([ZOO / "no_scale.py", "--timeout", "nan"], "above 0, got nan"),
        ([ZOO / "no_scale.py", "--memory", 0], "--memory to be finite"),
        ([ZOO / "no_scale.py", "--memory", -1], "above 0, got -1"),
        ([ZOO / "no_scale.py", "--csv", "--json"], "or --csv, got both"),
    ],
)
def test_wrong_use_ends_in_one_line(twice, arguments, message):
    code, _, err = twice("check", *arguments)
    assert code == 2
    assert err.startswith("twice: ")
    assert err.count("\n") == 1
    assert message in err


def test_what_the_judge_lacks_is_named_with_its_extra(
    tmp_path, monkeypatch
):
    broken = "raise ModuleNotFoundError(\"No module named 'hypothesis'\")"
    written(tmp_path, broken, "hypothesis.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ModuleNotFoundError) as error:
        judge_files([ZOO / "no_scale.py"], REQUEST, Limits(60, 4))
    assert 'pip install "attention-twice[test]"' in missing(error.value)


@pytest.mark.slow
def test_code_that_ends_or_fills_its_process_or_never_ends(tmp_path):
    lines = {
        "hangs": "while True: pass",
        "leaves": "__import__('os')._exit(7)",
        "fills": "return bytearray(9 * 2**30)",
    }
    paths = [
        written(tmp_path, SHORT.format(line), f"{name}.py")
        for name, line in lines.items()
    ]
    hangs, leaves, fills = judge_files(paths, REQUEST, Limits(9, 2))
    assert hangs.trouble == (
        "there was no answer after 9 seconds, while judging "
        "scaled_dot_product_attention"
    )
    assert "ended with code 7, while judging" in leaves.trouble
    assert "raised MemoryError" in fills.reports[0]["trouble"]
    assert not any(one.holds for one in (hangs, leaves, fills))


# --- without a process, which takes seconds to begin ---------------------


def events(path: Path, **request) -> list[dict]:
    """The events of the worker for a file."""
    sent = []
    judge_file(
        REQUEST | {"path": str(path)} | request, lambda **e: sent.append(e)
    )
    return sent


def reports(path: Path, **request) -> list[dict]:
    return [e for e in events(path, **request) if e["event"] == "report"]


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        ("raise KeyError('x')", "raised KeyError: 'x' (line 3)"),
        ("raise SystemExit(1)", "raised SystemExit: 1 (line 3)"),
        ("return max(map(len, 3))", "not iterable (line 3)"),
        ("return 'x'", "returned str, expected an array"),
        ("return value.T", "returned shape"),
    ],
)
def test_code_that_does_as_it_likes(tmp_path, line, trouble):
    (report,) = reports(written(tmp_path, SHORT.format(line)))
    assert report["verdict"] == "fails"
    assert trouble in report["trouble"]


CLASS = """
from torch import nn
class Attention(nn.Module):
    def __init__(self, d_in, d_out):
        super().__init__()
        self.query = nn.Linear(d_in, d_out)
        self.key = nn.Linear(d_in, d_out)
        self.value = nn.Linear(d_in, d_out)
        {}
    def forward(self, x):
        return helper(self.query(x))
def helper(x):
    raise ValueError("no")
"""


def test_an_error_is_reported_with_the_line_of_the_file(tmp_path):
    (report,) = reports(written(tmp_path, CLASS.format("pass")))
    assert report["trouble"] == "raised ValueError: no (line 13)"
    (report,) = reports(written(tmp_path, CLASS.format("1 / 0")))
    assert report["trouble"] == (
        "raised ZeroDivisionError: division by zero (line 9)"
    )
    step = "def softmax(scores):\n    return helper(scores)\n"
    helper = "def helper(x):\n    raise ValueError('no')\n"
    (report,) = reports(written(tmp_path, step + helper))
    failure = report["findings"][0]["failure"]
    assert failure["text"] == "it raised ValueError: no (line 4)"
    weights = "def self_attention(x, W_q, W_k, W_v):\n    helper(x)\n"
    (report,) = reports(written(tmp_path, weights + helper))
    assert report["trouble"] == "raised ValueError: no (line 4)"


def test_an_error_is_printed_as_a_sentence(tmp_path, capsys):
    path = written(tmp_path, SHORT.format("raise ValueError('no')"))
    print_report(JudgedFile(path, reports(path)))
    out = capsys.readouterr().out
    assert (
        "\n  with numpy arrays it raised ValueError: no (line 3)\n" in out
    )


def test_a_file_that_raises_while_it_is_run(tmp_path):
    with pytest.raises(ValueError, match="raised ModuleNotFoundError"):
        events(written(tmp_path, "import no_such_thing_at_all"))
    with pytest.raises(ValueError, match=r"by zero \(line 3\)$"):
        events(written(tmp_path, "def f():\n    1\n    1 / 0\nf()"))
    with pytest.raises(ValueError, match=r"called sys.exit\(3\)"):
        events(written(tmp_path, "import sys; sys.exit(3)"))


def test_a_notebook_is_run_cell_by_cell(tmp_path):
    cells = ["%matplotlib inline\nimport numpy as np", "1 / 0", GOOD]
    notebook = {
        "cells": [{"cell_type": "markdown", "source": ["# Exercise"]}]
        + [{"cell_type": "code", "source": [cell]} for cell in cells]
    }
    path = written(tmp_path, json.dumps(notebook), "submission.ipynb")
    sent = events(path)
    notes = [event["text"] for event in sent if event["event"] == "note"]
    assert notes == ["a cell raised ZeroDivisionError: division by zero"]
    assert sent[-1]["verdict"] == "holds"


def test_one_failure_does_not_end_the_others_and_all_is_accounted_for(
    tmp_path,
):
    text = (
        "class Attention:\n    def __init__(self, d_in, d_out): ...\n"
        "def helper(): ...\ndef attention(Q, K, V): return V\n"
    )
    sent = events(written(tmp_path, text))
    (note,) = [e["text"] for e in sent if e["event"] == "note"]
    assert note == "not judged: Attention, helper"
    assert [e["name"] for e in sent if e["event"] == "report"] == [
        "attention"
    ]


COURSE = """
import numpy as np
def softmax_of(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
def self_attention(X, W_q, W_k, W_v):
    scores = X @ W_q @ np.swapaxes(X @ W_k, -2, -1)
    return softmax_of(scores / np.sqrt(W_k.shape[1])) @ (X @ W_v)
def my_attention(inputs, Wq, Wk, Wv):
    return self_attention(inputs, Wq, Wk, Wv)
def attention_weights(x, W_q, W_k, W_v):
    return softmax_of(x @ W_q @ (x @ W_k).T)
def multi_head_attention(x, W_q, W_k, W_v):
    return x
def causal_attention(x, W_q, W_k, W_v):
    return self_attention(x, W_q, W_k, W_v)
"""


def test_functions_of_tokens_and_weights_are_judged(tmp_path):
    sent = events(written(tmp_path, COURSE))
    verdicts = {
        e["name"]: (e["kind"], e["verdict"])
        for e in sent
        if e["event"] == "report"
    }
    assert verdicts == {
        "self_attention": ("self_attention", "holds"),
        "my_attention": ("self_attention", "holds"),
        "causal_attention": ("causal_attention", "fails"),
    }
    (one,) = [e for e in sent if e["event"] == "unjudged"]
    assert one["name"] == "multi_head_attention"
    assert "number of heads" in one["text"]
    assert sent[0]["what"] == "running the file"
    assert sent[1]["text"] == "not judged: attention_weights, softmax_of"


def test_the_smallest_input_of_such_a_function_can_be_pasted(tmp_path):
    (report,) = reports(written(tmp_path, COURSE), role="causal_attention")
    shown = next(f["failure"] for f in report["findings"] if f["failure"])
    scope = {}
    exec(COURSE, scope)
    scope["YOURS"] = scope["causal_attention"]
    *lines, last = shown["inputs"].split("\n")
    exec("\n".join([*lines, f"got = {last}"]), scope)
    assert scope["got"][tuple(shown["at"])] == shown["got"]


def test_with_a_given_role_the_last_is_taken_and_the_others_are_named(
    tmp_path,
):
    path = written(tmp_path, COURSE)
    sent = events(path, role="self_attention")
    (note,) = [e["text"] for e in sent if e["event"] == "note"]
    assert note.startswith("not judged: attention_weights, multi_head")
    assert note.endswith("my_attention, self_attention, softmax_of")
    assert sent[-1]["name"] == "causal_attention"


def test_what_is_no_python_is_not_judged(tmp_path):
    with pytest.raises(ValueError, match="a Python file or a notebook"):
        events(written(tmp_path, "some words", "notes.txt"))


def test_its_role_can_be_given(tmp_path):
    path = written(
        tmp_path, GOOD.replace("scaled_dot_product_attention", "mine")
    )
    with pytest.raises(ValueError, match="say what it is with --as"):
        events(path)
    (report,) = reports(path, role="scaled_dot_product_attention")
    assert (report["name"], report["verdict"]) == ("mine", "holds")


def test_another_step_is_judged_by_its_name(tmp_path):
    (report,) = reports(ZOO / "layer_norm_unbiased.py")
    assert (report["kind"], report["verdict"]) == ("layer_norm", "fails")
    text = "import torch\ndef softmax(scores): return scores.softmax(-1)"
    (report,) = reports(written(tmp_path, text))
    assert report["verdict"] == "holds"


def test_a_step_of_numpy_in_a_file_that_has_pytorch_too(tmp_path):
    text = COURSE.replace("softmax_of", "softmax") + "import torch\n"
    path = written(tmp_path, text)
    (report,) = [r for r in reports(path) if r["name"] == "softmax"]
    assert report["verdict"] == "holds"
    (report,) = [
        r for r in reports(path, array="torch") if r["name"] == "softmax"
    ]
    assert report["verdict"] == "fails"


def test_a_function_of_other_arguments_is_not_judged(tmp_path):
    text = "def softmax(a, b, c): return a"
    (one,) = [
        event
        for event in events(written(tmp_path, text))
        if event["event"] == "unjudged"
    ]
    assert one["name"] == "softmax"
    assert one["text"] == "expected the arguments (scores), got (a, b, c)"
