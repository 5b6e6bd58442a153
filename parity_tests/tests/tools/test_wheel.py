"""What is installed: all of the library, and none of its tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

HOUSE = Path(__file__).parents[3]
# Where a folder of the checkout stands in the wheel.
INSTALLED = {
    "bert_viz": "bert_viz",
    "data": "attention_twice_data",
    "numpy_ref": "numpy_ref",
    "parity_tests": "parity_tests",
    "study": "study",
    "torch_impl": "torch_impl",
}
TESTS = "parity_tests/tests/"
BUILD = "from setuptools import build_meta; build_meta.build_wheel('.')"


def tracked() -> list[str]:
    """The files that git keeps or would: what a clone will have."""
    run = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        name for name in run.stdout.split("\n") if (HOUSE / name).is_file()
    ]


def in_the_wheel(files: list[str]) -> set[str]:
    """Where the files of the library stand once they are installed."""
    split = [name.partition("/") for name in files if TESTS not in name]
    return {
        f"{INSTALLED[folder]}/{rest}"
        for folder, _, rest in split
        if folder in INSTALLED
    }


@pytest.mark.slow
def test_the_wheel_holds_the_library_whole_and_no_test(tmp_path):
    if os.environ.get("CI") != "true" and not (HOUSE / ".git").exists():
        pytest.skip("needs a git checkout: this is none")
    files = tracked()
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HOUSE / name, tmp_path / name)
    subprocess.run(
        [sys.executable, "-c", BUILD],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
    assert names == in_the_wheel(files)
    assert "parity_tests/judge/__init__.py" in names


def test_a_test_and_a_benchmark_are_not_expected():
    files = [
        "parity_tests/tests/conftest.py",
        "benchmarks/bert.py",
        "LICENSE",
    ]
    assert in_the_wheel(files) == set()
    assert in_the_wheel(["data/a.txt"]) == {"attention_twice_data/a.txt"}
