"""Results file: every figure, and how, when and by what it was measured.

A figure is a number that was measured or counted. `data/figures.json` is
the one place that holds it; a text shows it, between marks (`marks.py`).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from numpy_ref.files import read_json, write_file

from ..text.corpus import DATA

RESULTS = Path(str(DATA)) / "figures.json"


@dataclass(frozen=True)
class Machine:
    """What a timing depends on."""

    processor: str
    cores: int
    memory_bandwidth: str

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} cores"


@dataclass(frozen=True)
class Figure:
    """A figure; one with a machine is a timing.

    `form` is a format string of `value` and `unit`, `measured` a date and
    `by` the function or the command that gave the value.
    """

    value: float | str
    unit: str
    form: str
    measured: str
    by: str
    machine: Machine | None = None

    def __str__(self) -> str:
        """As a text shows it: a timing with its machine and date.

        >>> str(Figure(22.713, "M", "{value:.1f}{unit}", "2026-11-29", "f"))
        '22.7M'
        >>> machine = Machine("Intel Xeon", 2, "10 GB/s")
        >>> form = "{value:.0f} {unit}"
        >>> str(Figure(4.8, "seconds", form, "2026-11-29", "f", machine))
        '5 seconds (Intel Xeon, 2 cores, 2026-11-29)'
        """
        text = self.form.format(value=self.value, unit=self.unit)
        if self.machine is None:
            return text
        return f"{text} ({self.machine}, {self.measured})"


Figures = dict[str, Figure]


def read_results(path: Path = RESULTS) -> Figures:
    """All figures by name. Raises ValueError for no such file."""
    return {
        name: figure_of(entry) for name, entry in read_json(path).items()
    }


def figure_of(entry: dict) -> Figure:
    machine = entry.get("machine")
    return Figure(**entry | {"machine": machine and Machine(**machine)})


def write_results(figures: Figures, path: Path = RESULTS) -> None:
    """Write all figures, sorted by name, whole or not at all."""
    entries = {
        name: {k: v for k, v in asdict(figure).items() if v is not None}
        for name, figure in sorted(figures.items())
    }
    text = json.dumps(entries, indent=2, ensure_ascii=False)
    write_file(path, f"{text}\n".encode())
