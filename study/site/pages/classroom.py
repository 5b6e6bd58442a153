"""How to use it in class: lesson plans, with bugs by their numbers.

In the text a bug stands as `{bug scale_twice}`, by its file's name, which
gives it away; on the page it is a number that leads to the question.
"""

import re
from pathlib import Path

from .zoo import bug_files

BUG = re.compile(r"\{bug (\w+)\}")


def classroom_page() -> str:
    """The lesson plans, each bug as a link to its question."""
    text = Path(__file__).with_name("in_class.md").read_text("utf-8")
    return BUG.sub(lambda match: link_to(match[1]), text)


def link_to(name: str) -> str:
    """A bug's number as a link. Raises ValueError for one of no file."""
    names = [file.stem for file in bug_files()]
    if name not in names:
        raise ValueError(f"expected the name of a bug, got {name}")
    number = names.index(name) + 1
    return f"[bug {number}](find_the_bug.md#bug-{number})"
