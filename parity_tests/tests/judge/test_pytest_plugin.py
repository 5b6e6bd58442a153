"""The pytest plugin: in real runs, in projects that are not this one."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from parity_tests.judge import pytest_plugin
from parity_tests.judge.candidate.host import Host
from parity_tests.judge.verdict.protocol import Lost

HOUSE = Path(__file__).parents[3]
HEAVY = ("numpy_ref", "torch_impl", "hypothesis", "jaxtyping", "torch")

SOFTMAX = """
import numpy as np

def softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
"""
RIGHT = f"""{SOFTMAX}
def attention(query, key, value):
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1] ** 0.5
    return softmax(scores) @ value
"""
NO_ROOT = f"""{SOFTMAX}
def attention(query, key, value):
    scores = query @ key.swapaxes(-2, -1) / query.shape[-1]
    return softmax(scores) @ value
"""
FEW_KEYS = f"""{RIGHT}
def attention_of_few_keys(query, key, value):
    if key.shape[-2] > 20:
        raise MemoryError("too many keys")
    return attention(query, key, value)
"""
A_TEST_THAT_FAILS = "def test_of_the_project():\n    assert False\n"


@pytest.fixture
def project(tmp_path):
    """A folder to run pytest in, where the plugin is installed."""
    return Project(tmp_path)


class Project:
    """A project of somebody else's, in which files are written and run.

    An installation is what tells pytest of a plugin: the one beside the
    project has the entry points of setup.cfg.
    """

    def __init__(self, folder: Path):
        self.folder, self.site = folder / "project", folder / "site"
        self.folder.mkdir()
        metadata = self.site / "plugin-0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text("Name: plugin\nVersion: 0\n")
        setup = configparser.ConfigParser()
        setup.read(HOUSE / "setup.cfg", encoding="utf-8")
        plugins = setup["options.entry_points"]["pytest11"]
        (metadata / "entry_points.txt").write_text(f"[pytest11]{plugins}\n")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def pytest(self, *arguments: str, folder: str = ".") -> "Run":
        """What pytest prints in a fresh process, and its exit code."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST", "COLUMNS"))
        }
        environment["PYTHONPATH"] = f"{self.site}{os.pathsep}{HOUSE}"
        return subprocess.run(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=self.folder / folder,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )


Run = subprocess.CompletedProcess


def counts(run: Run) -> str:
    """The last line of a run: what passed, and what did not."""
    return run.stdout.rstrip().rpartition("\n")[2]


# --- quick ones ----------------------------------------------------------


def test_the_plugin_brings_nothing_heavy():
    program = (
        "import sys; import parity_tests.judge.pytest_plugin; "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert run.stdout == "[]\n"


@pytest.mark.slow
def test_a_wrong_attention_fails_with_a_report_and_no_traceback(project):
    project.write("my_attention.py", NO_ROOT)
    project.write("test_of_the_project.py", A_TEST_THAT_FAILS)
    run = project.pytest("--implementation", "my_attention.py")
    assert run.returncode == 1
    title, end = "_ attention: equals_the_definition _", "\n____"
    report = run.stdout.partition(title)[2].partition(end)[0]
    assert "The output is softmax(Q Kᵀ / √d) V" in report
    assert re.search(r"context at \[.+\]: got [\d.]+, expected", report)
    assert (
        "likely cause: the scale is 1/d, not 1/√d, as if applied twice"
        in report
    )
    assert "query = np.array([[" in report
    assert "from my_attention import attention" in report
    failed = "FAILED my_attention.py::attention::equals_the_definition"
    assert failed in run.stdout
    assert "not asked: masks (it takes none)" in run.stdout
    assert "pytest_plugin.py" not in run.stdout
    assert "test_of_the_project" not in run.stdout
    # Inputs decide how many fail; what no scale can change does not.
    for holds in ("weights_are_a_distribution", "keys_have_no_order"):
        assert (
            f"FAILED my_attention.py::attention::{holds}" not in run.stdout
        )
    failed, passed = map(int, re.findall(r"(\d+) (?:f|p)", counts(run)))
    assert failed >= 6
    assert passed >= 6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["absent.py", "", "."])
def test_what_is_no_file_is_wrong_use(project, name):
    run = project.pytest(f"--implementation={name}")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    text = f"expected --implementation to be a file, got {name!r}"
    assert text in run.stderr


# --- whole runs ----------------------------------------------------------


INI = """
[pytest]
addopts = -n 2 --dist=worksteal --strict-markers --doctest-modules
testpaths = tests
filterwarnings = error
"""


@pytest.mark.slow
@pytest.mark.parametrize("separator", [" ", "="])
@pytest.mark.parametrize("folder", [".", "elsewhere/deep"])
def test_it_works_in_any_project_and_from_any_folder(
    project, separator, folder
):
    path = project.write("my_attention.py", RIGHT)
    project.write("tests/test_of_the_project.py", A_TEST_THAT_FAILS)
    project.write("elsewhere/deep/notes.txt", "")
    project.write("pytest.ini", INI)
    name = os.path.relpath(path, project.folder / folder)
    option = f"--implementation{separator}{name}".split()
    run = project.pytest(*option, folder=folder)
    assert run.returncode == 0, run.stdout
    assert "workers" not in run.stdout
    assert "\nattention: holds\n" in run.stdout
    assert "27 passed" in counts(run)


WARNS = """
import warnings
from parity_tests.judge import pytest_plugin

judged = pytest_plugin.judged

def judged_with_a_warning(path):
    warnings.warn("a warning of the judge's own")
    return judged(path)

pytest_plugin.judged = judged_with_a_warning
"""


@pytest.mark.slow
def test_warnings_that_a_project_makes_errors_end_no_judgement(project):
    project.write("my_attention.py", RIGHT)
    project.write("conftest.py", WARNS)
    project.write("pytest.ini", "[pytest]\nfilterwarnings = error\n")
    run = project.pytest("--implementation=my_attention.py")
    assert run.returncode == 0, run.stdout
    assert "27 passed in" in counts(run)


@pytest.mark.slow
def test_it_works_in_this_project(project):
    """The run that watches the types of numpy_ref is not disturbed."""
    path = project.write("my_attention.py", RIGHT)
    house = os.path.relpath(HOUSE, project.folder)
    run = project.pytest("--implementation", str(path), folder=house)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "\nattention: holds\n" in run.stdout


@pytest.mark.slow
def test_without_the_option_the_plugin_changes_nothing(project):
    project.write("my_attention.py", NO_ROOT)
    project.write("test_of_the_project.py", A_TEST_THAT_FAILS)
    run = project.pytest("-n", "2")
    assert run.returncode == 1
    assert "2 workers" in run.stdout
    assert "1 failed in" in counts(run)
    assert "what was judged" not in run.stdout


@pytest.mark.slow
def test_one_property_can_be_chosen_by_its_name(project):
    project.write("my_attention.py", NO_ROOT)
    run = project.pytest(
        "--implementation=my_attention.py", "-k", "keys_have_no_order"
    )
    assert run.returncode == 0
    assert "1 passed, 26 deselected" in counts(run)


@pytest.mark.slow
def test_a_property_without_a_verdict_is_an_error(project):
    project.write("my_attention.py", FEW_KEYS)
    run = project.pytest("--implementation=my_attention.py", "-k", "few")
    assert run.returncode == 1
    assert "3 errors" in counts(run)
    assert "failed" not in counts(run)
    assert "not judged: it raised MemoryError: too many keys" in run.stdout
    verdict = "\nattention_of_few_keys: holds where asked\n"
    assert verdict in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "code", "reason"),
    [
        ("def attention(:", 2, "my_attention.py"),
        ("def layer_norm(x): ...", 1, "expected the arguments (x, params"),
        ("x = 1", 2, "got nothing"),
        (
            "def attention(a, b):\n    return a",
            1,
            "expected a query, a key and a value, got (a, b)",
        ),
        (
            "def attention(q, k, v):\n    return gpu(q)",
            1,
            "it raised NameError: name 'gpu' is not defined",
        ),
    ],
)
def test_what_cannot_be_judged_is_an_error_with_its_reason(
    project, source, code, reason
):
    project.write("my_attention.py", source)
    run = project.pytest("--implementation=my_attention.py")
    assert run.returncode == code
    assert "1 error" in counts(run)
    assert "passed" not in counts(run)
    assert reason in run.stdout
    assert "Traceback" not in run.stdout
    assert "pytest_plugin.py" not in run.stdout


USES_JUDGE = f"""
from parity_tests.judge import judge
{NO_ROOT}
def test_mine():
    assert judge(attention, examples=3)
"""


@pytest.mark.slow
def test_a_failed_assert_of_judge_shows_the_report_in_lines(project):
    project.write("test_mine.py", USES_JUDGE)
    run = project.pytest()
    assert run.returncode == 1
    assert ">       assert judge(attention, examples=3)" in run.stdout
    shown = run.stdout.partition("- what the judge says -")[2]
    lines = [line.strip() for line in shown.splitlines()]
    assert "attention, as attention: rejected" in lines
    assert (
        "likely cause: the scale is 1/d, not 1/√d, as if applied twice"
        in lines
    )
    assert any(line.startswith("query = np.array([[") for line in lines)
    assert "not asked: masks (it takes none)" in lines


@pytest.mark.slow
def test_an_assert_of_judge_that_holds_shows_nothing(project):
    text = USES_JUDGE.replace("/ query.shape[-1]", "/ query.shape[-1]**.5")
    project.write("test_mine.py", text)
    run = project.pytest()
    assert run.returncode == 0, run.stdout
    assert "1 passed" in counts(run)
    assert "what the judge says" not in run.stdout


@pytest.mark.slow
def test_what_calls_the_reference_is_not_judged(project):
    project.write(
        "my_attention.py",
        "from numpy_ref import attention as reference\n"
        "def attention(query, key, value, mask):\n"
        "    step = reference.scaled_dot_product_attention\n"
        "    return step(query, key, value, mask)\n",
    )
    run = project.pytest("--implementation=my_attention.py")
    assert run.returncode == 1
    assert "passed" not in counts(run)
    assert "it calls the reference" in run.stdout


@pytest.mark.slow
def test_what_ends_its_process_is_an_error_and_takes_nothing_along(project):
    ending = "def my_attention(q, k, v):\n    import os; os._exit(0)\n"
    project.write("my_attention.py", RIGHT + ending)
    run = project.pytest("--implementation=my_attention.py")
    assert run.returncode == 1
    assert "27 passed, 1 error" in counts(run)
    assert "the process ended with code 0" in run.stdout


# --- what ends on the way ------------------------------------------------


class LostAtTheSecond(Host):
    """A host whose process ends when the second function is called."""

    def call(self, target, arguments, how):
        if target == "second_attention":
            raise Lost("the process ended with code 3")
        return super().call(target, arguments, how)


def test_what_was_judged_before_the_process_ended_counts():
    scope: dict = {}
    exec(RIGHT, scope)
    host = LostAtTheSecond.of("attention", scope["attention"])
    host.things["second_attention"] = scope["attention"]
    things = [host.describe(name) for name in host.things]
    first, last = pytest_plugin.reports_on(host, things)
    assert first.verdict == "holds"
    assert last.verdict == "not judged"
    assert last.trouble == "the process ended with code 3"
