"""The table of conventions, and the time machine of older releases.

To ask all libraries takes a minute. The answers are kept beside the site
until a library has another version, or the probes have changed.
"""

import hashlib
import json
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

ADAPTERS = adapters.__path__[0]


def conventions_page(cache: Path) -> str:
    """The page of today's libraries, asked unless the cache knows them."""
    key = todays_key()
    known = json.loads(cache.read_text("utf-8")) if cache.is_file() else {}
    if known.get("key") != key:
        rows, missing = table()
        known = {"key": key, "rows": rows, "missing": missing}
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_whole(cache, json.dumps(known).encode())
    markdown = as_markdown(known["rows"], known["missing"])
    return page("conventions").replace("TABLE", markdown)


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
        .replace("TABLE", as_markdown(before["releases"]))
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
    """Numbers with commas; an error as it is."""
    if isinstance(numbers, str):
        return numbers
    return ", ".join(str(number) for number in numbers)
