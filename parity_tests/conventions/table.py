"""The table of conventions: a row for each library, as the judge finds it.

    python -m parity_tests.conventions.table [--json]

Each library's adapter runs in a process of its own, under any Python, so
that a row of today's release and one of an older release are made alike.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from parity_tests import adapters
from parity_tests.judge.attention.conventions import NOT_TESTED
from parity_tests.judge.attention.function import AttentionFunction
from parity_tests.judge.candidate.things import Thing
from parity_tests.judge.files.remote import Interpreter, Limits, Remote
from parity_tests.judge.verdict.protocol import answered

from .probes import (
    alignment_of,
    causal_and_mask_of,
    grouping_of,
    scale_of,
)

ATTENTION, WITHOUT_SCALE = "scaled_dot_product_attention", "without_scale"
SECONDS = 300.0  # for one library, its import included
COLUMNS = {
    "mask": "mask",
    "mask_of_numbers": "numbers in a mask",
    "alignment": "causal, fewer queries than keys",
    "causal_and_mask": "causal and a mask",
    "fully_masked_row": "fully masked row",
    "nan_in_masked_key": "NaN in a masked key",
    "nan_in_masked_value": "NaN in a masked value",
    "scale": "scale",
    "grouping": "fewer key heads",
}


@dataclass(frozen=True)
class Library:
    """A library's attention: its adapter, and the packages it is in."""

    name: str
    adapter: str
    packages: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return Path(adapters.__path__[0]) / f"{self.adapter}.py"


def keras_on(name: str, backend: str) -> Library:
    return Library(
        f"Keras on {name}",
        "keras_function",
        ("keras", backend),
        {"KERAS_BACKEND": backend},
    )


LIBRARIES = (
    Library("PyTorch, function", "pytorch_function", ("torch",)),
    Library("PyTorch, module", "pytorch_module", ("torch",)),
    keras_on("JAX", "jax"),
    keras_on("NumPy", "numpy"),
    keras_on("PyTorch", "torch"),
    Library("JAX", "jax_function", ("jax",)),
    Library("ONNX, reference", "onnx_reference", ("onnx",)),
    Library("ONNX Runtime", "onnx_operator", ("onnxruntime", "onnx")),
    Library(
        "transformers, eager",
        "transformers_eager",
        ("transformers", "torch"),
    ),
    Library(
        "transformers, sdpa", "transformers_sdpa", ("transformers", "torch")
    ),
    Library("MLX", "mlx_function", ("mlx",)),
)
# Older releases of it are asked (`record`), today's is not.
X_TRANSFORMERS = Library(
    "x-transformers",
    "x_transformers_attend",
    ("x-transformers", "torch"),
)


def versions(
    packages: Iterable[str], python: str = sys.executable
) -> dict[str, str]:
    """The versions of those packages that this Python has."""
    program = (
        "import importlib.metadata as m, json, sys\n"
        "installed = {}\n"
        "for name in sys.argv[1:]:\n"
        "    try: installed[name] = m.version(name)\n"
        "    except m.PackageNotFoundError: pass\n"
        "print(json.dumps(installed))"
    )
    run = subprocess.run(
        [python, "-c", program, *packages],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def table(
    libraries: Iterable[Library] = LIBRARIES, python: str = sys.executable
) -> tuple[list[dict], list[str]]:
    """The rows of what is installed, and the names of what is not."""
    rows, missing = [], []
    for library in libraries:
        installed = versions(library.packages, python)
        if len(installed) < len(library.packages):
            missing.append(library.name)
        else:
            rows.append(row(library, installed, python))
    return rows, missing


def row(library: Library, installed: dict[str, str], python: str) -> dict:
    """One library's conventions, in values that JSON has."""
    with running(library, python) as host:
        return {
            "library": library.name,
            "adapter": library.adapter,
            "versions": installed,
            "conventions": conventions(host, host.things[ATTENTION]),
        }


def running(library: Library, python: str = sys.executable) -> Remote:
    """The library's adapter in a process of its own, to be closed."""
    interpreter = Interpreter(python, library.variables)
    host = Remote(library.path, Limits(SECONDS), interpreter)
    answered(host.load(str(library.path), SECONDS))
    return host


def conventions(host, thing: Thing) -> dict[str, str]:
    """The conventions of an attention of this host, by COLUMNS."""
    subject = AttentionFunction(host, thing)

    def without_scale(query, key, value):
        arguments = {"query": query, "key": key, "value": value}
        how = {"library": subject.caller.calling.library}
        return answered(host.call(WITHOUT_SCALE, arguments, how))

    needs_scale = WITHOUT_SCALE in host.things
    detected = subject.conventions.plain() | {
        "mask": subject.conventions.mask.partition(";")[0],
        "alignment": alignment_of(subject),
        "causal_and_mask": causal_and_mask_of(subject),
        "scale": scale_of(subject, without_scale if needs_scale else None),
        "grouping": grouping_of(subject),
    }
    return {name: detected.get(name, NOT_TESTED) for name in COLUMNS}


def as_markdown(rows: list[dict], missing: Iterable[str] = ()) -> str:
    """The rows as a table for a page, one library below the other."""
    lines = [cells(["library", *COLUMNS.values()])]
    lines.append(cells(["---"] * (1 + len(COLUMNS))))
    lines += [
        cells([titled(each), *map(each["conventions"].get, COLUMNS)])
        for each in rows
    ]
    absent = "; ".join(missing)  # a name may have a comma
    lines += ["", f"Not installed: {absent}."] if absent else []
    return "\n".join(lines)


def cells(texts: list[str]) -> str:
    return f"| {' | '.join(texts)} |"


def titled(each: dict) -> str:
    """A row's library with the versions that it was asked in."""
    named = ", ".join(f"{n} {v}" for n, v in each["versions"].items())
    return f"{each['library']} ({named})"


if __name__ == "__main__":
    rows, missing = table()
    if "--json" in sys.argv[1:]:
        print(json.dumps({"rows": rows, "missing": missing}, indent=2))
    else:
        print(as_markdown(rows, missing))
