"""Mutation testing: break the code on purpose, and see the tests fail.

`python -m parity_tests.tests.mutants`, from the project's folder: each
mutant of `mutants.toml` is made in a copy, and the tests that must kill it
run there. It is killed when they fail and name the step. Exit code 0 when
all are killed, and the tests pass on the code as it is; 1 otherwise.
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
    mutants, killed, sound = all_mutants(), 0, True
    unchanged = {
        file: chosen(file, functions)
        for file, functions in functions_by_file(mutants).items()
    }
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        without = pool.map(
            run_tests, [{}] * len(unchanged), unchanged.values()
        )
        runs = pool.map(
            run_tests, map(changes, mutants), map(tests_for, mutants)
        )
        for file, (passed, _) in zip(unchanged, without, strict=True):
            state = "passes" if passed else "FAILS"
            print(f"{file}: {state} without a mutant", flush=True)
            sound = sound and passed
        for mutant, run in zip(mutants, runs, strict=True):
            outcome = verdict(mutant["step"], *run)
            print(f"{mutant['name']}: {outcome}", flush=True)
            killed += outcome == "killed"
    survived = len(mutants) - killed
    print(f"{len(mutants)} mutants, {killed} killed, {survived} survived")
    sys.exit(0 if sound and not survived else 1)


def all_mutants() -> list[dict]:
    """The mutants, as `mutants.toml` has them."""
    source = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return tomllib.loads(source)["mutant"]


def verdict(step: str, passed: bool, output: str) -> str:
    """The word "killed" if the tests fail and a failure names the step."""
    if passed:
        return "survived: the tests pass"
    # In a failure, not in the summary of what was compared.
    failures = [line for line in output.split("\n") if line[:2] == "E "]
    if not any(step in line for line in failures):
        return f"survived: the tests fail, but do not name {step}"
    return "killed"


def functions_by_file(mutants: list[dict]) -> dict[str, set[str]]:
    """For each file of tests the functions that have a mutant."""
    functions: dict[str, set[str]] = {}
    for mutant in mutants:
        file = mutant.get("tests", TESTS)
        functions.setdefault(file, set()).add(function_of(mutant))
    return functions


def function_of(mutant: dict) -> str:
    return mutant["step"].split("[")[0].removesuffix("_backward")


def tests_for(mutant: dict) -> list[str]:
    """The file of tests that must kill a mutant, and which of them."""
    return chosen(mutant.get("tests", TESTS), {function_of(mutant)})


def chosen(file: str, functions: set[str]) -> list[str]:
    """The tests of these functions in a file, but for those of devices:
    they look at no number, and import for longer than all others take."""
    names = " or ".join(sorted(functions))
    return [file, "-k", f"({names}) and not where_their_input_stands"]


def changes(mutant: dict) -> dict[str, tuple[str, str]]:
    """For each changed file the old line and the new one."""
    lines = {mutant["path"]: (mutant["old"], mutant["new"])}
    if "twin" in mutant:
        lines[mutant["twin"]] = (mutant["twin_old"], mutant["twin_new"])
    return lines


def run_tests(
    changed: dict[str, tuple[str, str]], tests: list[str]
) -> tuple[bool, str]:
    """Whether the tests pass in a changed copy, and their output."""
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
    """Change one line; raise ValueError unless it occurs exactly once."""
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines.count(old) != 1:
        raise ValueError(
            f"expected {old!r} once in {path.name}, got {lines.count(old)}"
        )
    lines[lines.index(old)] = new
    path.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
