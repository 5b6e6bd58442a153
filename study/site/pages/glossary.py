"""Glossary: tensors and axes, also by the names they have elsewhere."""

import tomllib
from functools import cache
from pathlib import Path

from parity_tests.twins.finding import find_twins

from .reference import name_of

ENTRIES = Path(__file__).with_name("glossary.toml")


def entries() -> list[dict]:
    """Each name: meaning, names elsewhere, the step that it leads to."""
    return tomllib.loads(ENTRIES.read_text("utf-8"))["entry"]


@cache
def pages_of_steps() -> dict[str, str]:
    """The document of each step, by its name."""
    return {
        twin.name: name_of(
            "/".join(twin.reference.__module__.split(".")[1:]) + ".py"
        )
        for twin in find_twins()
    }


def address_of(step: str) -> str:
    """Where a step stands: its document and its heading.

    Raises KeyError for no step.
    """
    return f"{pages_of_steps()[step]}.md#{step.replace('_', '-')}"


def glossary_page() -> str:
    """One table of all names, in the alphabet of any of them."""
    rows = [
        (name, entry)
        for entry in entries()
        for name in (entry["name"], *entry.get("elsewhere", ()))
    ]
    rows.sort(key=lambda pair: pair[0].lower())
    lines = "\n".join(line(name, entry) for name, entry in rows)
    return f"""# Glossary

Names of tensors and axes: ours, and those that other code has for the same.

| name | ours | what it is |
| --- | --- | --- |
{lines}
"""


def line(name: str, entry: dict) -> str:
    """A name, what it is called here, and the step where it stands."""
    ours = f"[`{entry['name']}`]({address_of(entry['step'])})"
    return f"| `{name}` | {ours} | {entry['meaning']} |"
