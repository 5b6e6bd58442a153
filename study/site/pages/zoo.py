"""Find the bug: every file of the bug zoo, its answer folded."""

import ast
from pathlib import Path

from parity_tests import bug_zoo

START = Path(__file__).with_name("find_the_bug.md")


def zoo_page() -> str:
    """The bugs, numbered in the order of their files' names."""
    bugs = [bug(number, file) for number, file in enumerate(bug_files(), 1)]
    return "\n".join([START.read_text("utf-8"), *bugs])


def bug_files() -> list[Path]:
    """The files of the zoo; a bug's number is its place among them."""
    return sorted(Path(bug_zoo.__path__[0]).glob("[!_]*.py"))


def bug(number: int, file: Path) -> str:
    """One bug: its code without what gives it away, then the answer."""
    source = file.read_text("utf-8")
    tree = ast.parse(source)
    lines = source.splitlines()[tree.body[0].end_lineno :]
    code = "\n".join(lines).strip("\n")
    answer = ast.get_docstring(tree)
    return (
        f"## Bug {number}\n\n```python\n{code}\n```\n\n"
        f"<details><summary>The answer to bug {number}</summary>\n\n"
        f"{answer}\n\n</details>\n"
    )
