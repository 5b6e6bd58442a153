"""Kept results: those of an earlier build, as long as they are of now.

To compute all examples and ask the properties of all mutants takes more
than a minute. What came of it stands in a folder beside the site, with a
checksum of all that it depends on: the proofs, the site, and what NumPy's
code and PyTorch's do.
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
    """Results in a folder, which count while the revision is theirs."""

    folder: Path
    revision: str

    def result(self, of: str, compute: Callable[[], object]):
        """What was kept under a name, or is computed now.

        It is made of what JSON has: texts, numbers, None, lists, dicts.
        """
        path = self.folder / sha256(of.encode()).hexdigest()
        kept = self.read(path)
        if kept is None:
            kept = {"of": of, "revision": self.revision, "is": compute()}
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(kept).encode())
        return kept["is"]

    def read(self, path: Path) -> dict | None:
        """What is kept; None if nothing is, or not of this revision."""
        try:
            kept = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        return kept if kept["revision"] == self.revision else None

    def lights(
        self, function: Callable, name: str, of: str
    ) -> tuple[Light, ...]:
        """The properties of a step, asked of this function, or kept.

        `of` says whose they are: of NumPy's function, or of a mutant by
        its cause. Kept ones are found by that, and not by the function.
        """

        def rows() -> list:
            asked = lights(function, name)
            return [[a.asked, a.failed, a.invalid, a.worst] for a in asked]

        kept = self.result(f"lights of {name}: {of}", rows)
        return tuple(
            Light(each, *row)
            for each, row in zip(properties_of(name), kept, strict=True)
        )


def kept_of(env) -> Kept:
    """The results that are kept beside a site, by Sphinx's environment."""
    folder = Path(env.doctreedir).with_name("kept")
    return Kept(folder, env.config.results_revision)
