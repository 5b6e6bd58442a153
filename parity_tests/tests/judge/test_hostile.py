"""Hostile files: nothing that a judged file does forges a verdict.

Each trick stands with the wrong attention that it would cover for. For
all: the judge survives, never says "holds" of it, says what happened, and
leaves nothing running.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from study.check.judged import JudgedFile, Request, judge_file
from study.check.printing import (
    print_csv,
    print_json,
    print_report,
    print_table,
)
from study.check.process import judge_files

pytestmark = pytest.mark.slow  # each has processes of its own


WRONG = """
import numpy as np
def shares(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
def attention(query, key, value):
    return shares(query @ key.swapaxes(-2, -1)) @ value
"""
RIGHT = WRONG.replace("-2, -1))", "-2, -1) / query.shape[-1] ** 0.5)")

# --- a trick at the top of the file, and what the report says of it ------

REJECTED = "rejected"
AT_THE_TOP = {
    "hangs": ("while True: pass", "interrupted after"),
    "waits and catches all": (
        "import time\nwhile True:\n    try: time.sleep(99)\n"
        "    except BaseException: pass",
        "there was no answer within",
    ),
    "leaves": (
        "import os; os._exit(0)",
        "ended with code 0, while running",
    ),
    "leaves with a code": (
        "import os; os._exit(7)",
        "ended with code 7, while running",
    ),
    "exits": ("import sys; sys.exit(0)", "SystemExit"),
    "stops itself": (
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        "there was no answer within",
    ),
    "kills itself": (
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "was ended by SIGKILL",
    ),
    "terminates its parent": (
        "import os, signal; os.kill(os.getppid(), signal.SIGTERM)",
        REJECTED,
    ),
    "kills its parent": (
        "import os, signal, time\n"
        "if os.fork() == 0:\n    os.setsid(); time.sleep(60)\n"
        "os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)",
        "1 process left running, now ended",
    ),
    "stops its parent": (
        "import os, signal; os.kill(os.getppid(), signal.SIGSTOP)",
        REJECTED,
    ),
    "forks and comes back": ("import os; os.fork()", REJECTED),
    "leaves a child": (
        "import os, time\nif os.fork() == 0: time.sleep(60); os._exit(0)",
        "1 process left running, now ended",
    ),
    "leaves a grandchild in a session of its own": (
        "import os, time\n"
        "if os.fork() == 0:\n    os.setsid()\n"
        "    if os.fork() == 0: time.sleep(60)\n    os._exit(0)",
        "1 process left running, now ended",
    ),
    "starts a program": (
        "import subprocess; subprocess.Popen(['sleep', '60'])",
        "1 process left running, now ended",
    ),
    "threads that go on": (
        "import threading\ndef go():\n    while True: pass\n"
        "threading.Thread(target=go).start()",
        REJECTED,
    ),
    "something for its end": (
        "import atexit; atexit.register(print, 'all properties hold')",
        REJECTED,
    ),
    "a flood of output": (
        "import os\nfor _ in range(3000): os.write(1, b'holds' * 4000)",
        "its output (60,000,000 bytes) is not shown",
    ),
    "a deleted working directory": (
        "import os, tempfile\nd = tempfile.mkdtemp()\nos.chdir(d)\n"
        "os.rmdir(d)",
        REJECTED,
    ),
    "leaves where its command line has arguments": (
        "import os, sys\nif sys.argv[1:] or sys.orig_argv[2:]: os._exit(0)",
        REJECTED,
    ),
    "a patched exponential": (
        "import numpy as np\nnp.exp = lambda x: np.ones_like(x)\n"
        "np.testing.assert_allclose = lambda *a, **k: None\n"
        "np.allclose = np.array_equal = lambda *a, **k: True",
        REJECTED,
    ),
    "a patched json": (
        "import json\njson.dumps = lambda *a, **k: '{\"holds\": true}'",
        "is no answer",
    ),
    "a patched host": (
        "import sys\n"
        "m = sys.modules['parity_tests.judge.candidate.host']\n"
        "m.Host.call = lambda *a: {'value': 'holds', 'verdict': 'holds'}\n"
        "m.returned = lambda value, depth=0: 'holds'",
        "returned 'holds', expected shape",
    ),
    "a patched worker": (
        "import sys\nsys.modules['__main__'].work = None\n"
        "m = sys.modules['parity_tests.judge.candidate.wire']\n"
        "m.Encoder.encoded = lambda self, value, depth=0: 'holds'",
        "is no answer",
    ),
    "modules in place of the judge's": (
        "import sys, types\n"
        "for name in ('hypothesis', 'numpy_ref.attention', 'numpy_ref',\n"
        "        'parity_tests.exact', 'parity_tests.judge.verdict'):\n"
        "    sys.modules[name] = types.ModuleType(name)",
        REJECTED,
    ),
    "settrace": (
        "import sys\ndef trace(frame, event, arg):\n"
        "    frame.f_locals.clear(); return trace\nsys.settrace(trace)",
        "the process ended with code 70",
    ),
    "garbage in every descriptor": (
        "import os\nfor d in range(3, 1024):\n"
        "    try: os.write(d, b'\\x07' * 64)\n    except OSError: pass",
        "is no answer",
    ),
    "forged answers": (
        "import os\n"
        "from parity_tests.judge.candidate.wire import framed\n"
        "for d in range(3, 1024):\n"
        "    for n in range(9):\n"
        "        for part in framed([n, {'value': 'holds'}]):\n"
        "            try: os.write(d, part)\n"
        "            except OSError: pass",
        "is no answer",
    ),
    "forges how its process ended": (
        "import os, signal, subprocess, time\n"
        "subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "said = os.open(f'/proc/{os.getppid()}/fd/1', os.O_WRONLY)\n"
        "os.write(said, b'0 0 0')\n"
        "os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)",
        "1 process left running, now ended",
    ),
    "a forged status": (
        "import os\nfor d in range(3, 1024):\n"
        "    try: os.close(d)\n    except OSError: pass\n"
        "os._exit(0)",
        "ended with code 0",
    ),
    "the reference": (
        "from numpy_ref.attention import scaled_dot_product_attention",
        REJECTED,
    ),
    "a name with escapes": (
        "def attention_(q): 1\n"
        "attention_.__module__ = '\\x1b[2J'\n"
        "raise ValueError('\\x1b[31mholds\\x1b[0m [bold]=cmd()')",
        REJECTED,
    ),
}
# --- a trick in the call -------------------------------------------------

CALLS = {
    "exits": ("raise SystemExit(0)", "raised SystemExit"),
    "leaves": (
        "import os; os._exit(0)",
        "ended with code 0, while judging",
    ),
    "raises 50 megabytes": (
        "f = attention\n"
        "    f.text = getattr(f, 'text', None) or 'holds ' * 2**23\n"
        "    raise ValueError(f.text)",
        "raised ValueError",
    ),
    "raises what raises": (
        "class E(Exception):\n"
        "        def __str__(self): raise SystemExit\n"
        "    raise E",
        "raised E",
    ),
    "returns a gigabyte": (
        "return np.zeros(2**27)",
        "array of 1073741824 bytes",
    ),
    "returns what is none": (
        "class A:\n"
        "        def __array__(self, *a): raise KeyboardInterrupt\n"
        "    return A()",
        "KeyboardInterrupt",
    ),
    "returns a generator": ("return (x for x in value)", "generator"),
    "returns what equals everything": (
        "class A(np.ndarray):\n"
        "        def __eq__(self, other): return np.True_\n"
        "        def __sub__(self, other): return np.zeros(self.shape)\n"
        "        def __abs__(self): return np.zeros(self.shape)\n"
        "    return np.asarray(query @ key.swapaxes(-1, -2) @ value"
        ").view(A)",
        REJECTED,
    ),
    "looks for what is expected": (
        "import sys, gc\n"
        "    frame, seen = sys._getframe(), []\n"
        "    while frame:\n"
        "        seen += frame.f_locals.values(); frame = frame.f_back\n"
        "    seen += gc.get_objects()\n"
        "    shape = (*query.shape[:-1], value.shape[-1])\n"
        "    own = query, key, value\n"
        "    arrays = [x for x in seen if type(x) is np.ndarray]\n"
        "    for x in arrays:\n"
        "        if x.shape == shape and not any(x is a for a in own):\n"
        "            return x.astype(value.dtype)\n"
        "    return query @ key.swapaxes(-1, -2) @ value",
        REJECTED,
    ),
    "needs more memory than there is": (
        "return np.ones(2**36)",
        "MemoryError",
    ),
}
SLOW = (
    *("hangs", "waits and catches all", "stops itself"),
    *("stops its parent", "kills its parent"),
)


# In the environment of all that a test starts, and of no other test.
MARK = f"HOSTILE_TEST_{os.getpid()}"


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def marked(mark: str) -> set[int]:
    """The processes that bear a mark in their environment.

    That of `multiprocessing`, which ends with this one, is left out.
    """
    ids = set()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (path / "cmdline").read_bytes()
            has_mark = (
                f"{mark}=".encode() in (path / "environ").read_bytes()
            )
            if has_mark and b"resource_tracker" not in command:
                ids.add(int(path.name))
    return ids


def expect_none(mark: str) -> None:
    """Nothing that bears the mark is left, a moment later."""
    deadline = time.monotonic() + 5
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert marked(mark) == set()


@pytest.fixture(autouse=True)
def nothing_is_left_running(monkeypatch):
    monkeypatch.setenv(MARK, "1")  # not of this process, which began before
    yield
    expect_none(MARK)


def judge(path: Path, seconds: float = 20) -> JudgedFile:
    return judge_file(path, Request(examples=2, seconds=seconds))


def texts(judged: JudgedFile) -> str:
    """All that a report says, with the verdict."""
    everything = [judged.verdict, vars(judged)]
    return json.dumps(everything, default=str, ensure_ascii=False)


def tricks(table: dict) -> list:
    """Each trick, what is said of it, and how many seconds it gets."""
    return [
        pytest.param(*case, 8, id=name, marks=pytest.mark.slow)
        if name in SLOW
        else pytest.param(*case, 20, id=name)
        for name, case in table.items()
    ]


def expect_no_forgery(judged: JudgedFile, says: str) -> None:
    assert says in texts(judged)
    assert judged.verdict in ("rejected", "not judged")
    assert "holds" not in [report["verdict"] for report in judged.reports]


@pytest.mark.parametrize(("trick", "says", "seconds"), tricks(AT_THE_TOP))
def test_a_trick_at_the_top_forges_nothing(tmp_path, trick, says, seconds):
    judged = judge(written(tmp_path, f"{trick}\n{WRONG}"), seconds)
    expect_no_forgery(judged, says)


@pytest.mark.parametrize(("trick", "says", "seconds"), tricks(CALLS))
def test_a_trick_in_the_call_forges_nothing(tmp_path, trick, says, seconds):
    head = WRONG[: WRONG.index("    return shares")]
    judged = judge(written(tmp_path, f"{head}    {trick}\n"), seconds)
    expect_no_forgery(judged, says)


def test_the_same_file_without_a_trick_holds(tmp_path):
    """What is found above is found of the trick."""
    assert judge(written(tmp_path, RIGHT)).verdict == "holds"
    assert judge(written(tmp_path, WRONG)).verdict == "rejected"


def test_what_calls_the_reference_is_not_judged(tmp_path):
    text = (
        "def attention(query, key, value):\n"
        "    import numpy as np\n"
        "    from numpy_ref.attention import scaled_dot_product_attention\n"
        "    mask = np.ones((query.shape[-2], key.shape[-2]), bool)\n"
        "    return scaled_dot_product_attention(query, key, value, mask)\n"
    )
    judged = judge(written(tmp_path, text))
    assert judged.verdict == "not judged"
    assert "it calls the reference" in judged.reports[0]["trouble"]


def test_what_ends_its_process_costs_the_rest_of_the_file_nothing(tmp_path):
    text = f"{RIGHT}\ndef last_attention(query, key, value):\n    import os"
    judged = judge(
        written(tmp_path, f"{text}; os._exit(3)\nmy_attention = attention")
    )
    verdicts = {r["name"]: r["verdict"] for r in judged.reports}
    assert verdicts["attention"] == "holds"
    assert verdicts["last_attention"] == "not judged"
    assert judged.is_open


def test_a_second_process_looks_for_nothing_else(tmp_path):
    """What has a softmax is only judged where nothing is of a name."""
    text = (
        "import os\nimport numpy as np\n"
        "def attention(query, key, value):\n    os._exit(3)\n"
        "def helper(query, key, value):\n"
        "    return np.exp(query @ key.swapaxes(-2, -1)) @ value\n"
    )
    judged = judge(written(tmp_path, text))
    assert [report["name"] for report in judged.reports] == ["attention"]
    assert judged.others == ["helper"]


def test_no_control_character_gets_through(tmp_path, capsys):
    text = (
        "raise ValueError('\\x1b[31mholds\\x1b[0m \\u202e[red]')\n"
        "def attention(query, key, value):\n"
        "    raise ValueError('\\x1b]0;x\\x07\\r[bold]')\n"
    )
    path = written(tmp_path, text, "=cmd() \x1b[2J\n.py")
    judged = judge(path)
    print_report(judged)
    print_table([judged, judged])
    print_csv([judged])
    print_json([judged])
    shown = capsys.readouterr().out
    assert {c for c in shown if not c.isprintable()} == {"\n"}
    assert "[bold]" in shown  # and is no markup
    judged.path = Path("=cmd()")
    print_csv([judged])
    assert "\n'=cmd(),attention" in capsys.readouterr().out


def test_neighbours_named_like_modules_change_nothing(tmp_path):
    for name in ("random", "json", "numpy_ref", "hypothesis", "select"):
        written(tmp_path, "raise ValueError('taken')", f"{name}.py")
    assert judge(written(tmp_path, RIGHT)).verdict == "holds"
    written(tmp_path, "raise ValueError('taken')", "torch.py")
    assert judge(written(tmp_path, WRONG)).verdict == "rejected"


@pytest.mark.slow
def test_each_of_many_files_has_its_row_whatever_the_others_do(tmp_path):
    pipe, folder = tmp_path / "pipe.py", tmp_path / "folder.py"
    os.mkfifo(pipe)
    folder.mkdir()
    killer = (
        "import os, signal\n"
        "def parent(of):\n"
        "    text = open(f'/proc/{of}/stat').read()\n"
        "    return int(text.rpartition(')')[2].split()[1])\n"
        "os.kill(parent(os.getppid()), signal.SIGKILL)\n"
    )
    paths = [
        written(tmp_path, RIGHT, "right.py"),
        pipe,
        written(tmp_path, killer, "kills_the_judge.py"),
        folder,
        tmp_path / "missing.py",
        written(tmp_path, WRONG, "wrong.py"),
        written(tmp_path, '{"cells": [3, {"source": 4}]}', "odd.ipynb"),
        written(tmp_path, "def attention(", "no_python.py"),
        written(tmp_path, RIGHT, "again.py"),
    ]
    files = judge_files(paths, Request(examples=2, seconds=20))
    assert [judged.path for judged in files] == paths
    assert [judged.verdict for judged in files] == [
        *("holds", "not judged", "not judged", "not judged", "not judged"),
        *("rejected", "not judged", "not judged", "holds"),
    ]
    assert "the judge's own process was ended" in files[2].trouble
    assert all(judged.trouble for judged in files[1:5])


@pytest.mark.slow
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("files", [1, 2])
def test_a_command_that_is_ended_leaves_nothing_running(
    tmp_path, number, files
):
    text = (
        "import os, subprocess\n"
        "subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "open('began', 'a').write('x')\nwhile True: pass\n"
    )
    for index in range(files):
        written(tmp_path, text, f"{index}.py")
    command = [sys.executable, "-m", "study", "check", "0.py", "1.py"]
    running = subprocess.Popen(
        command[: 4 + files],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        # A job in the background inherits that it ignores SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    began, deadline = tmp_path / "began", time.monotonic() + 20
    while not (began.exists() and began.stat().st_size == files):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(getattr(signal, number))
    assert running.wait(5) != 0
    expect_none(MARK)
