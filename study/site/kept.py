"""Kept lights: those of an earlier build, as long as they are of now.

To ask the properties of all mutants takes a minute. What they answered
stands in a folder beside the site, with a checksum of all that it depends
on: the proofs, the site, and what NumPy's code and PyTorch's do.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from numpy_ref.files import write_whole
from parity_tests.judge.steps.all_properties import properties_of

from .proof import Light, lights


@dataclass(frozen=True)
class Kept:
    """Lights in a folder, which count as long as the revision is theirs."""

    folder: Path
    revision: str

    def lights(
        self, function: Callable, name: str, of: str
    ) -> tuple[Light, ...]:
        """The properties of a step, asked of this function, or kept.

        `of` says whose they are: of NumPy's function, or of a mutant by
        its cause. Kept ones are found by that, and not by the function.
        """
        path = self.folder / f"{name}-{sha256(of.encode()).hexdigest()}"
        if (rows := self.read(path)) is None:
            asked = lights(function, name)
            rows = [[a.asked, a.failed, a.invalid, a.worst] for a in asked]
            self.write(path, of, rows)
        return tuple(
            Light(each, *row)
            for each, row in zip(properties_of(name), rows, strict=True)
        )

    def read(self, path: Path) -> list | None:
        """What is kept; None if nothing is, or not of this revision."""
        try:
            kept = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        return kept["rows"] if kept["revision"] == self.revision else None

    def write(self, path: Path, of: str, rows: list) -> None:
        kept = {"of": of, "revision": self.revision, "rows": rows}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(kept).encode())
