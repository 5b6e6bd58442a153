"""The table of conventions, and the time machine of older releases.

To ask all libraries takes a minute: it is done when the page is read. The
answers are kept beside the site until a library has another version, or
the probes have changed.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import parity_tests.conventions
from numpy_ref.files import write_whole
from parity_tests import adapters
from parity_tests.conventions.record import recorded
from parity_tests.conventions.table import (
    LIBRARIES,
    as_markdown,
    table,
    versions,
)

from .files import write_if_new

ADAPTERS = adapters.__path__[0]
PAGE = "conventions"
TABLE = "TABLE"  # where the table is to stand


@dataclass(frozen=True)
class Conventions:
    """The page of today's libraries, asked unless the cache knows them."""

    cache: Path

    def source(self) -> str:
        """The page, without its table where that is still to be asked."""
        text, cache = page(PAGE), self.cache
        if not cache.is_file():
            return text
        known = json.loads(cache.read_text("utf-8"))
        is_of_today = known["key"] == todays_key()
        return with_table(text, known) if is_of_today else text

    def read(self, app, docname: str, source: list[str]) -> None:
        """Ask the libraries where the page has no table yet."""
        if docname == PAGE and TABLE in source[0]:
            rows, missing = table()
            known = {"key": todays_key(), "rows": rows, "missing": missing}
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.cache, json.dumps(known).encode())
            source[0] = with_table(source[0], known)
            write_if_new(Path(app.srcdir) / f"{PAGE}.md", source[0])


def with_table(text: str, known: dict) -> str:
    markdown = as_markdown(known["rows"], known["missing"])
    return text.replace(TABLE, markdown)


def page(name: str) -> str:
    """The text of a page, with words in capitals to be replaced."""
    return Path(__file__).with_name(f"{name}.md").read_text("utf-8")


def todays_key() -> str:
    """What the answers depend on: the libraries and the probes."""
    packages = {name for each in LIBRARIES for name in each.packages}
    parts = [json.dumps(versions(sorted(packages)), sort_keys=True)]
    for folder in (parity_tests.conventions.__path__[0], ADAPTERS):
        for path in sorted(Path(folder).glob("*.py")):
            parts.append(path.read_text("utf-8"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def time_machine_page() -> str:
    """Older releases, asked what today's are asked; each bug in numbers."""
    before = recorded()
    return (
        page("time_machine")
        .replace("DATE", before["recorded"])
        .replace("BUGS", "\n".join(map(row, before["bugs"])))
        .replace(TABLE, as_markdown(before["releases"]))
    )


def row(bug: dict) -> str:
    """A shipped bug as the row of a table."""
    right, got = (listed(bug[side]) for side in ("right", "got"))
    mended = f"{bug['mended']} ([report]({bug['origin']}))"
    return (
        f"| {bug['release']} | {bug['what']} | {right} | "
        f"<span class='wrong'>{got}</span> | {mended} |"
    )


def listed(numbers) -> str:
    """Numbers with commas, whole ones without a point; a text as it is.

    >>> listed([1.0, 1.5379, "NaN"])
    '1, 1.5379, NaN'
    """
    if isinstance(numbers, str):
        return numbers
    return ", ".join(
        number if isinstance(number, str) else f"{number:g}"
        for number in numbers
    )
