"""Break the code on purpose, and see the tests name what was broken.

`python -m parity_tests.breaks`, from the project's folder: each mistake of
`breaks.toml` is made in a copy, and the tests of the twins are run there.
Exit code 0 when each run was red and named the step, 1 otherwise.
"""

import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

FOLDERS = ("numpy_ref", "torch_impl", "parity_tests", "study", "data")


def main() -> None:
    breaks = tomllib.loads(
        Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    )["break"]
    print("the code as it is:", end=" ", flush=True)
    missed = [] if run_tests({})[0] else ["the code as it is"]
    print("red, and should be green" if missed else "green")
    for broken in breaks:
        green, output = run_tests(changes(broken))
        # In a failure, not in the summary of what was compared.
        failures = [line for line in output.split("\n") if line[:2] == "E "]
        named = any(broken["step"] in line for line in failures)
        verdict = "green, and should be red" if green else "red"
        if not named:
            verdict += f", and {broken['step']} is not named"
        print(f"{broken['name']}: {verdict}", flush=True)
        if green or not named:
            missed.append(broken["name"])
    print(f"{len(breaks)} mistakes made, {len(missed)} missed")
    sys.exit(1 if missed else 0)


def changes(broken: dict) -> dict[str, tuple[str, str]]:
    """For each file the line that goes and the line that comes."""
    found = {broken["path"]: (broken["old"], broken["new"])}
    if "twin" in broken:
        found[broken["twin"]] = (broken["twin_old"], broken["twin_new"])
    return found


def run_tests(changed: dict[str, tuple[str, str]]) -> tuple[bool, str]:
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
                "parity_tests/test_twins.py",
            ],
            cwd=folder,
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
