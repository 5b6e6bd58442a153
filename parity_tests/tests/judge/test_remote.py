"""`Remote`: a host in another process answers as one in this process."""

import select
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from parity_tests.judge.candidate.host import Host
from parity_tests.judge.files import remote as remote_file
from parity_tests.judge.files.remote import (
    Interpreter,
    Limits,
    Remote,
    is_own,
)
from parity_tests.judge.verdict.protocol import Lost, TimedOut

pytestmark = pytest.mark.slow  # each starts a process

FILE = '''
import sys
import numpy as np
import torch
from torch import nn

AT_THE_TOP = [*sys.argv], [*sys.orig_argv]

def double(x, times: int = 2):
    """Twice."""
    return {"twice": times * x, "of": (x, 1)}

def square(x):
    return x ** 2

def fails(x):
    raise FileNotFoundError("weights.bin")

def change(x):
    x += 1
    return x

def modules():
    return [name for name in sys.modules if name.split(".")[0] in (
        "numpy_ref", "torch_impl", "hypothesis", "mpmath", "study")] + [
        name for name in sys.modules if name.startswith("parity_tests")]

def command_line():
    return AT_THE_TOP

def slow(x):
    import time
    time.sleep(30)

def ends(x):
    import os
    os._exit(3)

class Layer(nn.Module):
    def __init__(self, d_in):
        super().__init__()
        self.linear = nn.Linear(d_in, 2, bias=False)
    def forward(self, x):
        return self.linear(x)
'''
X = np.arange(6.0).reshape(2, 3)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("remote") / "things.py"
    path.write_text(FILE)
    return path


@pytest.fixture
def remote(path):
    with Remote(path, Limits(60)) as remote:
        remote.load(str(path), 20)
        yield remote


@pytest.fixture(scope="module")
def hosts(path):
    """One in this process, one in another, both with the file."""
    with Remote(path, Limits(60)) as remote:
        host = Host()
        loaded = [each.load(str(path), 20) for each in (host, remote)]
        yield host, remote, loaded


def test_another_python_with_its_own_variables_runs_the_file(tmp_path):
    python = tmp_path / "python"
    start = f'#!/bin/sh\nANOTHER=python exec "{sys.executable}" "$@"\n'
    python.write_text(start, "utf-8")
    python.chmod(0o755)
    path = tmp_path / "who.py"
    path.write_text(
        "import os\n"
        "def who():\n"
        "    return [os.environ['WHO'], os.environ['ANOTHER']]\n"
    )
    interpreter = Interpreter(str(python), {"WHO": "a variable"})
    with Remote(path, Limits(60), interpreter) as remote:
        remote.load(str(path), 20)
        answer = remote.call("who", {}, {})
    assert answer["value"] == ["a variable", "python"]


def test_both_describe_the_same_things(hosts):
    *_, (here, there) = hosts
    assert there["things"] == here["things"]
    names = [thing.name for thing in there["things"]]
    assert names[:2] == ["double", "square"]
    assert names[-1] == "Layer"
    assert there["notes"] == here["notes"] == []


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("double", {"library": "numpy"}),
        ("double", {"library": "torch"}),
        ("square", {"library": "torch", "narrow": "bfloat16"}),
        ("change", {"library": "torch", "back": True}),
        ("square", {"library": "torch", "upstream": X, "of": ["x"]}),
        ("fails", {"library": "numpy"}),
    ],
)
def test_both_answer_the_same(hosts, name, how):
    host, remote, _ = hosts
    here, there = (
        each.call(name, {"x": X.copy()}, how) for each in (host, remote)
    )
    if "error" in here:
        assert there == here
    np.testing.assert_equal(
        {n: v for n, v in there.items() if n != "value"},
        {n: v for n, v in here.items() if n != "value"},
    )
    np.testing.assert_equal(there.get("value"), here.get("value"))


def test_both_build_and_assign_the_same(hosts):
    for host in hosts[:2]:
        how = {"instance": "layer", "dtype": "float64"}
        answer = host.build("Layer", {"d_in": 3}, how)
        ((name, shape, owner),) = answer["parameters"]
        assert (name, shape, owner) == ("linear.weight", (2, 3), "Linear")
        assert host.assign("layer", {name: X}) == {}
        answer = host.call("layer", {"x": X}, {"library": "torch"})
        assert np.array_equal(answer["value"], X @ X.T)
        assert host.forget("layer") == {}


def test_nothing_of_the_judge_is_in_its_process(remote):
    modules = remote.call("modules", {}, {})["value"]
    assert {name for name in modules if "candidate" not in name} == {
        *("parity_tests", "parity_tests.judge")
    }


def test_its_command_line_is_that_of_python_and_the_path(remote, path):
    arguments, with_python = remote.call("command_line", {}, {})["value"]
    assert arguments == [str(path)]
    assert with_python == [sys.executable, str(path)]


@pytest.mark.parametrize("others_read", [False, True])
def test_no_answer_in_time_is_told_and_it_stays_lost(
    remote, monkeypatch, others_read
):
    """Also where an answer was there, and somebody else has read it."""
    if others_read:
        monkeypatch.setattr(select, "select", lambda *ready: ready)
    monkeypatch.setattr(remote_file, "PER_CALL", 0.3)
    began = time.monotonic()
    with pytest.raises(TimedOut, match=r"no answer .* while judging slow"):
        remote.call("slow", {"x": X}, {})
    assert time.monotonic() - began < 5
    with pytest.raises(TimedOut):
        remote.call("square", {"x": X}, {})


def test_the_time_of_the_file_is_a_limit_too(path):
    with Remote(path, Limits(1)) as remote:
        remote.begin_loading(str(path), 1)
        time.sleep(1)  # for as long as something else is done
        with pytest.raises(
            TimedOut, match="within 1 seconds in all, while"
        ):
            remote.loaded()


def test_a_call_that_comes_too_late_is_told_the_whole_time(path):
    """Not what was left for the call, which is nothing."""
    with Remote(path, Limits(60)) as remote:
        remote.load(str(path), 60)
        remote.deadline = time.monotonic()
        with pytest.raises(
            TimedOut, match="within 60 seconds in all, while"
        ):
            remote.call("square", {"x": X}, {})


def test_the_end_of_its_process_is_told_and_it_stays_lost(remote):
    ended = "the process ended with code 3, while judging ends"
    with pytest.raises(Lost, match=ended):
        remote.call("ends", {"x": X}, {})
    with pytest.raises(Lost, match=ended):
        remote.call("square", {"x": X}, {})


def test_after_its_end_nothing_is_asked(path):
    remote = Remote(path)
    remote.close()
    remote.close()
    with pytest.raises(Lost, match="has been ended"):
        remote.call("square", {"x": X}, {})


def test_calls_are_noted_while_somebody_wants_them(remote):
    remote.call("square", {"x": X}, {"library": "torch"})
    remote.log = calls = []
    remote.call("square", {"x": X[:1]}, {"library": "torch"})
    remote.call("fails", {"x": X}, {})
    (call,) = calls
    assert call.script() == (
        "import numpy as np\nimport torch\nfrom things import square\n\n"
        "x = torch.tensor([[0., 1., 2.]], dtype=torch.float64)\n"
        "output = square(x=x)"
    )


def test_the_files_of_the_project_are_known(tmp_path):
    assert is_own(Path(remote_file.__file__))
    assert not is_own(tmp_path / "mine.py")
