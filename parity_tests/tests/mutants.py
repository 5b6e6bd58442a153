"""Break the code on purpose, and see the tests name what was broken.

`python -m parity_tests.tests.mutants`, from the project's folder: each
mutant of `mutants.toml` is made in a copy, and the tests that must kill it
run there.
Exit code 0 when each run was red and named the step, 1 otherwise.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TESTS = "parity_tests/tests/steps/test_twins.py"
FOLDERS = (
    "bert_viz",
    "numpy_ref",
    "torch_impl",
    "parity_tests",
    "study",
    "data",
)


def main() -> None:
    breaks, missed = all_breaks(), 0
    for tests in sorted({tests_for(broken)[0] for broken in breaks}):
        green, _ = run_tests({}, [tests])
        print(f"{tests}: {'green' if green else 'red'}", flush=True)
        missed += not green
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = pool.map(
            run_tests, map(changes, breaks), map(tests_for, breaks)
        )
        for broken, run in zip(breaks, runs, strict=True):
            found = verdict(broken["step"], *run)
            print(f"{broken['name']}: {found}", flush=True)
            missed += found != "red"
    print(f"{len(breaks)} mistakes made, {missed} missed")
    sys.exit(1 if missed else 0)


def all_breaks() -> list[dict]:
    """The mistakes, as `breaks.toml` has them."""
    source = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return tomllib.loads(source)["break"]


def verdict(step: str, green: bool, output: str) -> str:
    """The word "red" when the tests failed and a failure names the step."""
    if green:
        return "green, and should be red"
    # In a failure, not in the summary of what was compared.
    failures = [line for line in output.split("\n") if line[:2] == "E "]
    if not any(step in line for line in failures):
        return f"red, and {step} is not named"
    return "red"


def tests_for(broken: dict) -> list[str]:
    """The file of tests that must find a mistake, and which of them."""
    function = broken["step"].split("[")[0].removesuffix("_backward")
    return [broken.get("tests", TESTS), "-k", function]


def changes(broken: dict) -> dict[str, tuple[str, str]]:
    """For each file the line that goes and the line that comes."""
    found = {broken["path"]: (broken["old"], broken["new"])}
    if "twin" in broken:
        found[broken["twin"]] = (broken["twin_old"], broken["twin_new"])
    return found


def run_tests(
    changed: dict[str, tuple[str, str]], tests: list[str]
) -> tuple[bool, str]:
    """Whether the tests pass in a changed copy, and what they say."""
    with tempfile.TemporaryDirectory() as folder:
        for name in FOLDERS:
            shutil.copytree(name, Path(folder, name))
        shutil.copy("setup.cfg", folder)
        for path, lines in changed.items():
            replace_line(Path(folder, path), *lines)
        run = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q"),
                "--hypothesis-profile=unshrunk",
                *tests,
            ],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
    return run.returncode == 0, run.stdout + run.stderr


def replace_line(path: Path, old: str, new: str) -> None:
    """Change one line; raise ValueError unless it stands there once."""
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines.count(old) != 1:
        raise ValueError(
            f"expected {old!r} once in {path.name}, got {lines.count(old)}"
        )
    lines[lines.index(old)] = new
    path.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
