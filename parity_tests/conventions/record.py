"""The time machine: older releases, asked what today's are asked.

    python -m parity_tests.conventions.record data/conventions_before.json

For each release an environment is made with pip, asked, and thrown away;
that takes a network, some minutes, and disk space for PyTorch. A bug that
is not found, or not mended where it is said to be, is an error, and then
nothing is written.
"""

import json
import subprocess
import sys
import venv
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from numpy_ref.files import write_file

from .shipped_bugs import SHIPPED_BUGS, ShippedBug
from .table import (
    LIBRARIES,
    X_TRANSFORMERS,
    Library,
    row,
    running,
    versions,
)

# What a release needs beside itself; the same NumPy serves them all.
NEEDS = {
    "onnx": ("numpy==2.4.6",),
    "onnxruntime": ("numpy==2.4.6", "onnx==1.19.1"),
    "x-transformers": ("numpy==2.4.6", "torch==2.13.0", "packaging"),
}
RECORDED = files("attention_twice_data") / "conventions_before.json"
Answer = list | str


def recorded(file=RECORDED) -> dict:
    """What `record` has written; by default, the file that is shipped."""
    return json.loads(file.read_text("utf-8"))


def releases() -> list[str]:
    """Each release that has a bug or has mended one, as pip names it."""
    named = [(bug.release, bug.mended) for bug in SHIPPED_BUGS]
    return list(dict.fromkeys(name for pair in named for name in pair))


def library_of(release: str) -> Library:
    package = release.partition("==")[0]
    libraries = (*LIBRARIES, X_TRANSFORMERS)
    return next(each for each in libraries if each.packages[0] == package)


def record() -> dict:
    """All releases' conventions, and what each bug gave in two of them."""
    rows, answers = [], {}
    for release in releases():
        print(f"asking {release}", file=sys.stderr, flush=True)
        with TemporaryDirectory() as folder:
            python = environment(Path(folder), release)
            rows.append({"release": release} | conventions(release, python))
            answers |= answers_of(release, python)
    return {
        "recorded": datetime.now(UTC).date().isoformat(),
        "releases": rows,
        "bugs": [entry(bug, answers) for bug in SHIPPED_BUGS],
    }


def environment(folder: Path, release: str) -> str:
    """The Python of a new environment that has this release."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    needs = NEEDS[release.partition("==")[0]]
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", release, *needs],
        check=True,
    )
    return python


def conventions(release: str, python: str) -> dict:
    library = library_of(release)
    return row(library, versions(library.packages, python), python)


def answers_of(release: str, python: str) -> dict[tuple[str, str], Answer]:
    """What a release answers, for each bug that it has or has mended."""
    with running(library_of(release), python) as host:
        return {
            (bug.name, release): bug.answer(host)
            for bug in SHIPPED_BUGS
            if release in (bug.release, bug.mended)
        }


def entry(bug: ShippedBug, answers: dict) -> dict:
    """A bug, and what two releases gave. Raises ValueError if the older
    one is right, or the newer one is wrong."""
    wrong, right = (
        answers[bug.name, release] for release in (bug.release, bug.mended)
    )
    if bug.is_right(wrong):
        raise ValueError(
            f"expected {bug.release} to be wrong, got {wrong}: {bug.what}"
        )
    if not bug.is_right(right):
        raise ValueError(
            f"expected {bug.mended} to give {bug.right}, got {right}: "
            f"{bug.what}"
        )
    return {
        "name": bug.name,
        "what": bug.what,
        "release": bug.release,
        "mended": bug.mended,
        "origin": bug.origin,
        "arguments": bug.arguments,
        "right": bug.right,
        "got": wrong,
    }


def main() -> None:
    if len(sys.argv) != 2:
        print(f"usage: {Path(sys.argv[0]).name} FILE", file=sys.stderr)
        raise SystemExit(2)
    text = json.dumps(record(), indent=1, ensure_ascii=False)
    write_file(Path(sys.argv[1]), f"{text}\n".encode())


if __name__ == "__main__":
    main()
